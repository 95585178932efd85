/* The function: parameters as JSON on stdin, the result as JSON on stdout, the log on stderr.
 *
 * One member, a string, is found without a parser of JSON. For more, add a library such as cJSON. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The most that is read of the parameters. */
enum { PARAMS_BYTES_MAX = 65536 };

static char params[PARAMS_BYTES_MAX + 1];

/* The text of a member as it stands between its quotes; it is still escaped. NULL if there is no such string. */
static const char *string_member(const char *json, const char *quoted_name, int *length) {
    const char *at = strstr(json, quoted_name);
    if (at == NULL) {
        return NULL;
    }
    at += strlen(quoted_name);
    at += strspn(at, " \t\r\n");
    if (*at++ != ':') {
        return NULL;
    }
    at += strspn(at, " \t\r\n");
    if (*at++ != '"') {
        return NULL;
    }
    const char *end = at;
    while (*end != '\0' && *end != '"') {
        end += *end == '\\' && end[1] != '\0' ? 2 : 1;
    }
    *length = (int)(end - at);
    return *end == '"' ? at : NULL;
}

int main(void) {
    size_t count = fread(params, 1, PARAMS_BYTES_MAX + 1, stdin);
    if (count > PARAMS_BYTES_MAX) {
        fprintf(stderr, "the parameters are longer than %d bytes\n", PARAMS_BYTES_MAX);
        return EXIT_FAILURE;
    }
    params[count] = '\0';
    int length = 5;
    const char *name = string_member(params, "\"name\"", &length);
    if (name == NULL) {
        name = "world";
        length = 5;
    }
    fprintf(stderr, "greeting %.*s\n", length, name);
    printf("{\"message\":\"Hello, %.*s!\"}\n", length, name);
    return EXIT_SUCCESS;
}
