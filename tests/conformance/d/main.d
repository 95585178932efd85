/// Greets and adds up. Better C: without D's runtime, which knows no WASI.
extern (C):

int printf(const char* format, ...);
int getchar();
size_t strlen(const char* text);
char* strstr(const char* text, const char* part);
/// A long of C has 32 bits here.
int strtol(const char* text, char** end, int base);

/// The text behind the name of a member and its colon.
const(char)* member(const char* json, const char* name)
{
    auto at = strstr(json, name);
    if (at is null)
        return null;
    at += strlen(name);
    while (*at == ':' || *at == ' ')
        at++;
    return at;
}

int main()
{
    char[4096] json = 0;
    for (size_t length = 0; length < json.length - 1; length++)
    {
        const each = getchar();
        if (each < 0)
            break;
        json[length] = cast(char) each;
    }
    auto name = member(json.ptr, `"name"`), n = member(json.ptr, `"n"`);
    if (name is null || n is null)
        return 1;
    int length = 0;
    while (name[length + 1] != '"')
        length++;
    int sum = 0;
    foreach (each; 1 .. strtol(n, null, 10) + 1)
        sum += each;
    printf(`{"message":"Hello, %.*s!","sum":%d}`, length, name + 1, sum);
    return 0;
}
