/* Fills a table in a database in memory and asks it for a sum. SQLite reads the JSON parameters itself. */
#include <stdio.h>

#include "sqlite3.h"

static const char *const query =
    "WITH RECURSIVE params(json) AS (SELECT ?1), "
    "numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers, params WHERE n < json_extract(json, '$.n')) "
    "SELECT json_object('message', 'Hello, ' || json_extract(json, '$.name') || '!', 'sum', (SELECT sum(n) FROM numbers)) FROM params";

int main(void) {
    static char json[65536];
    int length = (int)fread(json, 1, sizeof json, stdin);
    sqlite3 *database;
    sqlite3_stmt *statement;
    if (sqlite3_open(":memory:", &database) != SQLITE_OK || sqlite3_prepare_v2(database, query, -1, &statement, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s\n", sqlite3_errmsg(database));
        return 1;
    }
    sqlite3_bind_text(statement, 1, json, length, SQLITE_STATIC);
    if (sqlite3_step(statement) != SQLITE_ROW) {
        fprintf(stderr, "%s\n", sqlite3_errmsg(database));
        return 1;
    }
    puts((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return sqlite3_close(database) == SQLITE_OK ? 0 : 1;
}
