//! Counts the words, lines and characters of a text: a function in C, without a library beyond libc.
//!
//! Params on stdin, {"text": "..."}; result on stdout. The JSON reader below knows the whole grammar, because other
//! members have to be skipped, but keeps only the text. Every read goes through `peek` and `next`, which know the end;
//! every write through `push`, which makes room first. Whatever is wrong ends in `fail`: a line on stderr, exit code 1.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Words listed in the answer. */
#define TOP 10
/* Nesting of members that are only skipped: bounds the stack, which is 64 KB. */
#define DEPTH_MAX 100

/* printf would be most of this module. */
static void write_number(FILE *out, size_t number) {
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = '\0';
    do digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    fputs(digits + at, out);
}

_Noreturn static void fail(const char *message) {
    fputs("word-count: ", stderr);
    fputs(message, stderr);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

/* === bytes === */

struct bytes {
    unsigned char *data;
    size_t length;
    size_t capacity;
};

static void reserve(struct bytes *bytes, size_t more) {
    if (bytes->capacity - bytes->length >= more) return;
    if (more > SIZE_MAX / 2 - bytes->length) fail("out of memory");
    size_t capacity = bytes->capacity < 1024 ? 1024 : bytes->capacity;
    while (capacity - bytes->length < more) capacity *= 2;
    unsigned char *data = realloc(bytes->data, capacity);
    if (data == NULL) fail("out of memory");
    bytes->data = data;
    bytes->capacity = capacity;
}

static void push(struct bytes *bytes, unsigned value) {
    reserve(bytes, 1);
    bytes->data[bytes->length++] = (unsigned char)value;
}

static struct bytes read_input(void) {
    struct bytes input = {0};
    for (;;) {
        reserve(&input, 4 * 1024);
        size_t got = fread(input.data + input.length, 1, input.capacity - input.length, stdin);
        if (got == 0) break;
        input.length += got;
    }
    if (ferror(stdin)) fail("failed to read the params");
    return input;
}

/* === reading JSON === */

struct reader {
    const unsigned char *data;
    size_t length;
    size_t at;
};

/* The next byte, or -1 at the end. */
static int peek(const struct reader *in) { return in->at < in->length ? in->data[in->at] : -1; }

static int next(struct reader *in) {
    int byte = peek(in);
    if (byte >= 0) in->at++;
    return byte;
}

_Noreturn static void unexpected(const struct reader *in, const char *wanted) {
    fputs("word-count: params: expected ", stderr);
    fputs(wanted, stderr);
    fputs(" at byte ", stderr);
    write_number(stderr, in->at);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

static void skip_space(struct reader *in) {
    while (peek(in) == ' ' || peek(in) == '\t' || peek(in) == '\n' || peek(in) == '\r') in->at++;
}

static int accept(struct reader *in, int byte) {
    skip_space(in);
    if (peek(in) != byte) return 0;
    in->at++;
    return 1;
}

static void expect(struct reader *in, int byte, const char *name) {
    if (!accept(in, byte)) unexpected(in, name);
}

static unsigned read_hex4(struct reader *in) {
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        int byte = next(in);
        int digit = byte >= '0' && byte <= '9'   ? byte - '0'
                    : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
                    : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
                                                 : -1;
        if (digit < 0) unexpected(in, "four hexadecimal digits");
        value = value * 16 + (unsigned)digit;
    }
    return value;
}

/* A character behind \u; those beyond 16 bits come as two surrogates. */
static unsigned read_unicode_escape(struct reader *in) {
    unsigned high = read_hex4(in);
    if (high < 0xD800 || high > 0xDFFF) return high;
    if (high > 0xDBFF || next(in) != '\\' || next(in) != 'u') unexpected(in, "a surrogate pair");
    unsigned low = read_hex4(in);
    if (low < 0xDC00 || low > 0xDFFF) unexpected(in, "a surrogate pair");
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

static void push_utf8(struct bytes *out, unsigned character) {
    if (character < 0x80) {
        push(out, character);
    } else if (character < 0x800) {
        push(out, 0xC0 | character >> 6);
        push(out, 0x80 | (character & 0x3F));
    } else if (character < 0x10000) {
        push(out, 0xE0 | character >> 12);
        push(out, 0x80 | (character >> 6 & 0x3F));
        push(out, 0x80 | (character & 0x3F));
    } else {
        push(out, 0xF0 | character >> 18);
        push(out, 0x80 | (character >> 12 & 0x3F));
        push(out, 0x80 | (character >> 6 & 0x3F));
        push(out, 0x80 | (character & 0x3F));
    }
}

/* Copies one character of several bytes, refusing what is not UTF-8 (stray, overlong, surrogate, beyond 0x10FFFF). */
static void read_multibyte(struct reader *in, unsigned first, struct bytes *out) {
    static const unsigned smallest[] = {0x80, 0x800, 0x10000};
    int more = first >= 0xC2 && first <= 0xDF ? 1 : first >= 0xE0 && first <= 0xEF ? 2 : first >= 0xF0 && first <= 0xF4 ? 3 : 0;
    if (more == 0) unexpected(in, "UTF-8");
    unsigned character = first & (0x3Fu >> more);
    for (int i = 0; i < more; i++) {
        int byte = next(in);
        if (byte < 0x80 || byte > 0xBF) unexpected(in, "UTF-8");
        character = character << 6 | ((unsigned)byte & 0x3F);
    }
    if (character < smallest[more - 1] || character > 0x10FFFF || (character >= 0xD800 && character <= 0xDFFF))
        unexpected(in, "UTF-8");
    push_utf8(out, character);
}

static unsigned read_escape(struct reader *in) {
    switch (next(in)) {
    case '"': return '"';
    case '\\': return '\\';
    case '/': return '/';
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'u': return read_unicode_escape(in);
    default: unexpected(in, "an escape");
    }
}

static struct bytes read_string(struct reader *in) {
    struct bytes out = {0};
    expect(in, '"', "a string");
    for (;;) {
        int byte = next(in);
        if (byte == '"') return out;
        if (byte < 0x20) unexpected(in, "the end of a string");
        if (byte == '\\') push_utf8(&out, read_escape(in));
        else if (byte < 0x80) push(&out, (unsigned)byte);
        else read_multibyte(in, (unsigned)byte, &out);
    }
}

static void skip_string(struct reader *in) { free(read_string(in).data); }

static void skip_literal(struct reader *in, const char *literal) {
    for (; *literal; literal++)
        if (next(in) != *literal) unexpected(in, "true, false or null");
}

static void skip_digits(struct reader *in) {
    if (peek(in) < '0' || peek(in) > '9') unexpected(in, "a digit");
    while (peek(in) >= '0' && peek(in) <= '9') in->at++;
}

static void skip_number(struct reader *in) {
    if (peek(in) == '-') in->at++;
    if (peek(in) == '0') in->at++;
    else skip_digits(in);
    if (peek(in) == '.') {
        in->at++;
        skip_digits(in);
    }
    if (peek(in) == 'e' || peek(in) == 'E') {
        in->at++;
        if (peek(in) == '+' || peek(in) == '-') in->at++;
        skip_digits(in);
    }
}

static void skip_value(struct reader *in, int depth) {
    if (depth > DEPTH_MAX) fail("params: nested too deep");
    skip_space(in);
    switch (peek(in)) {
    case '"': skip_string(in); break;
    case 't': skip_literal(in, "true"); break;
    case 'f': skip_literal(in, "false"); break;
    case 'n': skip_literal(in, "null"); break;
    case '[':
        in->at++;
        if (accept(in, ']')) break;
        do skip_value(in, depth + 1);
        while (accept(in, ','));
        expect(in, ']', "] or ,");
        break;
    case '{':
        in->at++;
        if (accept(in, '}')) break;
        do {
            skip_string(in);
            expect(in, ':', ":");
            skip_value(in, depth + 1);
        } while (accept(in, ','));
        expect(in, '}', "} or ,");
        break;
    default: skip_number(in);
    }
}

/* The member "text" of the params; of several the last, as in most JSON readers. */
static struct bytes read_params(struct reader *in) {
    struct bytes text = {0};
    int found = 0;
    expect(in, '{', "an object");
    if (!accept(in, '}')) {
        do {
            struct bytes key = read_string(in);
            expect(in, ':', ":");
            if (key.length == 4 && memcmp(key.data, "text", 4) == 0) {
                free(text.data);
                text = read_string(in);
                found = 1;
            } else {
                skip_value(in, 0);
            }
            free(key.data);
        } while (accept(in, ','));
        expect(in, '}', "} or ,");
    }
    skip_space(in);
    if (in->at != in->length) unexpected(in, "the end");
    if (!found) fail("params: text is missing");
    return text;
}

/* === counting === */

struct word {
    const unsigned char *start; /* into the text; NULL marks a free slot */
    size_t length;
    size_t count;
};

/* A hash table with open addressing, never more than half full. */
struct table {
    struct word *slots;
    size_t capacity; /* a power of two */
    size_t used;
};

static uint32_t hash(const unsigned char *start, size_t length) {
    uint32_t value = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < length; i++) value = (value ^ start[i]) * 16777619u;
    return value;
}

/* The slot of a word, or the free one where it belongs. */
static struct word *slot(const struct table *table, const unsigned char *start, size_t length) {
    size_t at = hash(start, length) & (table->capacity - 1);
    for (;;) {
        struct word *word = &table->slots[at];
        if (word->start == NULL) return word;
        if (word->length == length && memcmp(word->start, start, length) == 0) return word;
        at = (at + 1) & (table->capacity - 1);
    }
}

static void grow(struct table *table) {
    struct table larger = {.capacity = table->capacity == 0 ? 32 : table->capacity * 2, .used = table->used};
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (larger.slots == NULL) fail("out of memory");
    for (size_t i = 0; i < table->capacity; i++) {
        const struct word *word = &table->slots[i];
        if (word->start != NULL) *slot(&larger, word->start, word->length) = *word;
    }
    free(table->slots);
    *table = larger;
}

static void count_word(struct table *table, const unsigned char *start, size_t length) {
    if (table->used * 2 >= table->capacity) grow(table);
    struct word *word = slot(table, start, length);
    if (word->start == NULL) {
        *word = (struct word){start, length, 0};
        table->used++;
    }
    word->count++;
}

static int is_space(unsigned char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

/* Words are what stands between white space, as in wc(1); the result is how many there are. */
static size_t count_words(struct table *table, const struct bytes *text) {
    size_t words = 0;
    for (size_t at = 0; at < text->length;) {
        size_t start = at;
        while (at < text->length && !is_space(text->data[at])) at++;
        if (at > start) {
            count_word(table, text->data + start, at - start);
            words++;
        }
        while (at < text->length && is_space(text->data[at])) at++;
    }
    return words;
}

/* A last line without a line feed counts. */
static size_t count_lines(const struct bytes *text) {
    size_t lines = 0;
    for (size_t i = 0; i < text->length; i++) lines += text->data[i] == '\n';
    return lines + (text->length > 0 && text->data[text->length - 1] != '\n');
}

/* Unicode characters: all bytes but those that continue one. */
static size_t count_characters(const struct bytes *text) {
    size_t characters = 0;
    for (size_t i = 0; i < text->length; i++) characters += (text->data[i] & 0xC0) != 0x80;
    return characters;
}

/* More frequent words first, equally frequent ones in the order of their bytes, free slots last. */
static int compare_words(const void *a, const void *b) {
    const struct word *left = a, *right = b;
    if (left->count != right->count) return left->count > right->count ? -1 : 1;
    if (left->start == NULL || right->start == NULL) return 0;
    size_t common = left->length < right->length ? left->length : right->length;
    int order = memcmp(left->start, right->start, common);
    return order != 0 ? order : (left->length > right->length) - (left->length < right->length);
}

/* === writing JSON === */

static void write_string(const unsigned char *start, size_t length) {
    static const char hex[] = "0123456789abcdef";
    putchar('"');
    for (size_t i = 0; i < length; i++) {
        if (start[i] == '"' || start[i] == '\\') putchar('\\');
        if (start[i] >= 0x20) {
            putchar(start[i]);
        } else {
            fputs("\\u00", stdout);
            putchar(hex[start[i] >> 4]);
            putchar(hex[start[i] & 15]);
        }
    }
    putchar('"');
}

static void write_member(const char *opening, size_t number) {
    fputs(opening, stdout);
    write_number(stdout, number);
}

static void write_top(const struct table *table) {
    size_t listed = table->used < TOP ? table->used : TOP;
    fputs(",\"top\":[", stdout);
    for (size_t i = 0; i < listed; i++) {
        fputs(i == 0 ? "{\"word\":" : ",{\"word\":", stdout);
        write_string(table->slots[i].start, table->slots[i].length);
        write_member(",\"count\":", table->slots[i].count);
        putchar('}');
    }
    fputs("]}\n", stdout);
}

int main(void) {
    struct bytes input = read_input();
    struct reader reader = {input.data, input.length, 0};
    struct bytes text = read_params(&reader);
    struct table table = {0};
    write_member("{\"words\":", count_words(&table, &text));
    write_member(",\"lines\":", count_lines(&text));
    write_member(",\"characters\":", count_characters(&text));
    if (table.used > 0) qsort(table.slots, table.capacity, sizeof *table.slots, compare_words);
    write_top(&table);
    if (fflush(stdout) != 0 || ferror(stdout)) fail("failed to write the result");
    return EXIT_SUCCESS;
}
