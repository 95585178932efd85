/* Sorts the numbers of a list that is too large for the memory with which the module begins. */
#include <stdio.h>
#include <stdlib.h>

static int compare(const void *one, const void *other) {
    int a = *(const int *)one, b = *(const int *)other;
    return (a > b) - (a < b);
}

int main(void) {
    char json[256] = {0};
    fread(json, 1, sizeof json - 1, stdin);
    const char *at = json;
    while (*at && (*at < '0' || *at > '9')) at++;
    size_t count = strtoul(at, NULL, 10);
    int *numbers = malloc(count * sizeof *numbers);
    if (numbers == NULL) {
        fprintf(stderr, "no room for %zu numbers\n", count);
        return 1;
    }
    unsigned state = 1;
    for (size_t each = 0; each < count; each++) {
        state = state * 1664525 + 1013904223;
        numbers[each] = (int)(state >> 8);
    }
    qsort(numbers, count, sizeof *numbers, compare);
    for (size_t each = 1; each < count; each++) {
        if (numbers[each - 1] > numbers[each]) return 2;
    }
    printf("{\"count\":%zu,\"sorted\":true}\n", count);
    return 0;
}
