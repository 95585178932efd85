/* Runs the script in main.lua with the JSON parameters as text; the script writes the result. */
#include <stdio.h>
#include <stdlib.h>

#include "lauxlib.h"
#include "lualib.h"

#include "script.h"

int main(void) {
    static char json[65536];
    size_t length = fread(json, 1, sizeof json, stdin);
    lua_State *lua = luaL_newstate();
    luaL_openlibs(lua);
    lua_pushlstring(lua, json, length);
    lua_setglobal(lua, "json");
    if (luaL_loadbufferx(lua, (const char *)script, script_length, "=main.lua", "t") != LUA_OK || lua_pcall(lua, 0, 0, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(lua, -1));
        return 1;
    }
    lua_close(lua);
    return 0;
}
