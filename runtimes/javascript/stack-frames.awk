# Gives functions of quickjs.c that call themselves a larger frame on the shadow stack. QuickJS limits that stack only, but
# the machine's stack, which a module cannot measure, is used up as well, and by these functions much faster. Each has a
# third of what it takes there, as measured with wasmtime; so the limit of the one is reached before that of the other.
BEGIN {
    wanted["json_parse_value"] = 96
    wanted["js_json_to_str"] = 144
    wanted["JS_FlattenIntoArray"] = 64
    wanted["js_proxy_getPrototypeOf"] = 128
    wanted["js_proxy_setPrototypeOf"] = 128
    wanted["js_proxy_isExtensible"] = 128
    wanted["js_proxy_preventExtensions"] = 128
    wanted["js_proxy_has"] = 128
    wanted["js_proxy_get"] = 96
    wanted["js_proxy_set"] = 96
    wanted["js_proxy_delete_property"] = 128
    wanted["js_proxy_get_own_property"] = 128
    wanted["js_proxy_define_own_property"] = 128
    wanted["js_proxy_get_own_property_names"] = 256
    wanted["js_proxy_call_constructor"] = 192
    wanted["js_parse_assign_expr2"] = 512
    wanted["js_parse_unary"] = 128
    wanted["js_parse_cond_expr"] = 128
    wanted["js_parse_statement_or_decl"] = 192
    wanted["js_parse_destructuring_element"] = 192
    wanted["js_parse_postfix_expr"] = 192
    wanted["js_parse_class"] = 512
    wanted["js_create_function"] = 256
}
{ print }
# A definition begins on a line of its own and has its brace on another.
/^[A-Za-z_].*\(/ {
    pending = ""
    for (name in wanted) if (index($0, " " name "(") || index($0, "*" name "(")) pending = name
}
/;[ \t]*$/ { pending = "" }
/^\{/ && pending != "" {
    printf "    STACK_FRAME(%d);\n", wanted[pending]
    done[pending]++
    pending = ""
}
END {
    for (name in wanted) if (done[name] != 1) {
        printf "%s is defined %d times\n", name, done[name] > "/dev/stderr"
        exit 1
    }
}
