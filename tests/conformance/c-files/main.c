/* Looks a price up in a file of its own folder, and counts calls in a scratch file, of which each call has its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int price_of(const char *wanted) {
    FILE *prices = fopen("/prices.csv", "r");
    if (prices == NULL) {
        perror("/prices.csv");
        exit(1);
    }
    char line[128];
    int price = -1;
    while (price < 0 && fgets(line, sizeof line, prices) != NULL) {
        char *comma = strchr(line, ',');
        *comma = '\0';
        if (strcmp(line, wanted) == 0) price = atoi(comma + 1);
    }
    fclose(prices);
    return price;
}

/* The calls that this scratch folder has seen. */
static int calls(void) {
    int count = 0;
    FILE *counter = fopen("/tmp/calls", "r");
    if (counter != NULL) {
        if (fscanf(counter, "%d", &count) != 1) count = -1;
        fclose(counter);
    }
    counter = fopen("/tmp/calls", "w");
    if (counter == NULL || fprintf(counter, "%d\n", count + 1) < 0 || fclose(counter) != 0) {
        perror("/tmp/calls");
        exit(1);
    }
    return count + 1;
}

int main(void) {
    char json[1024] = {0}, fruit[64] = {0};
    fread(json, 1, sizeof json - 1, stdin);
    const char *at = strstr(json, "\"fruit\"");
    if (at == NULL || sscanf(strchr(at, ':') + 1, " \"%63[^\"]\"", fruit) != 1) {
        fprintf(stderr, "no member fruit\n");
        return 1;
    }
    FILE *denied = fopen("/prices.csv", "a");
    printf("{\"price\":%d,\"calls\":%d,\"writable\":%s}\n", price_of(fruit), calls(), denied != NULL ? "true" : "false");
    return 0;
}
