/* The start of the program. */
void NimMain(void);

int main(void) {
    NimMain();
    return 0;
}
