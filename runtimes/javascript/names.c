//! Names for what an error is about: `x.y is not a function` instead of `not a function`.
//!
//! Bytecode says where a value came from. When an operation has failed, the code of the function that ran is gone through
//! once, in its order, with a stack of origins beside it; what lies there when the operation is reached is the name.
//! Nothing of this runs before something has failed. Included by engine.c, behind QuickJS.

/* Functions with more code than this are not gone through: a file that fails a thousand times should not wait for it. */
#define NAMED_CODE_BYTES_MAX (256 * 1024)
#define ORIGINS_MAX 4096
#define ORIGIN_STACK_MAX 256
/* Jumps forward whose targets have not been reached. */
#define JUMPS_MAX 64
#define JUMP_STACK_MAX 16
#define NAME_BYTES_MAX 120

enum origin_kind { ORIGIN_UNKNOWN, ORIGIN_NAME, ORIGIN_THIS, ORIGIN_FIELD, ORIGIN_ELEMENT, ORIGIN_CALL, ORIGIN_NEW, ORIGIN_NUMBER, ORIGIN_TEXT, ORIGIN_WORD };

struct origin {
    uint8_t kind;
    /* Other origins: what a field or an element is of, what was called; and what is between the brackets. */
    uint16_t of, key;
    union {
        JSAtom atom;
        int32_t number;
        const char *word;
    } u;
};

struct jump {
    uint32_t target;
    uint16_t depth, kept;
    uint16_t origins[JUMP_STACK_MAX];
};

struct walk {
    JSFunctionBytecode *code;
    uint32_t origin_count, depth, jump_count;
    bool lost;
    uint16_t stack[ORIGIN_STACK_MAX];
    struct origin origins[ORIGINS_MAX];
    struct jump jumps[JUMPS_MAX];
};

static uint16_t new_origin(struct walk *walk, struct origin origin) {
    if (walk->origin_count == ORIGINS_MAX) return 0;
    walk->origins[walk->origin_count] = origin;
    return (uint16_t)walk->origin_count++;
}

static void push_origin(struct walk *walk, uint16_t origin) {
    if (walk->depth < ORIGIN_STACK_MAX) walk->stack[walk->depth] = origin;
    walk->depth++;
}

static uint16_t origin_at(const struct walk *walk, uint32_t from_top) {
    if (from_top >= walk->depth || walk->depth - 1 - from_top >= ORIGIN_STACK_MAX) return 0;
    return walk->stack[walk->depth - 1 - from_top];
}

static void push_name(struct walk *walk, JSAtom atom) {
    enum origin_kind kind = atom == JS_ATOM_NULL ? ORIGIN_UNKNOWN : atom == JS_ATOM_this ? ORIGIN_THIS : ORIGIN_NAME;
    push_origin(walk, new_origin(walk, (struct origin){.kind = kind, .u.atom = atom}));
}

static void push_local(struct walk *walk, uint32_t index) {
    JSFunctionBytecode *code = walk->code;
    push_name(walk, code->vardefs != NULL && index < code->var_count ? code->vardefs[code->arg_count + index].var_name : JS_ATOM_NULL);
}

static void push_argument(struct walk *walk, uint32_t index) {
    JSFunctionBytecode *code = walk->code;
    push_name(walk, code->vardefs != NULL && index < code->arg_count ? code->vardefs[index].var_name : JS_ATOM_NULL);
}

static void push_outer(struct walk *walk, uint32_t index) {
    JSFunctionBytecode *code = walk->code;
    push_name(walk, index < code->closure_var_count ? code->closure_var[index].var_name : JS_ATOM_NULL);
}

static void push_number(struct walk *walk, int32_t number) {
    push_origin(walk, new_origin(walk, (struct origin){.kind = ORIGIN_NUMBER, .u.number = number}));
}

static void push_word(struct walk *walk, const char *word) {
    push_origin(walk, new_origin(walk, (struct origin){.kind = ORIGIN_WORD, .u.word = word}));
}

static void push_field(struct walk *walk, uint16_t of, JSAtom atom) {
    push_origin(walk, new_origin(walk, (struct origin){.kind = ORIGIN_FIELD, .of = of, .u.atom = atom}));
}

static void push_element(struct walk *walk, uint16_t of, uint16_t key) {
    push_origin(walk, new_origin(walk, (struct origin){.kind = ORIGIN_ELEMENT, .of = of, .key = key}));
}

/* Remembers what the stack is like at the target of a jump forward. */
static void note_jump(struct walk *walk, uint32_t from, uint32_t target, uint32_t depth) {
    if (target <= from) return;
    for (uint32_t i = 0; i < walk->jump_count; i++) if (walk->jumps[i].target == target) return;
    if (walk->jump_count == JUMPS_MAX) {
        walk->lost = true;
        return;
    }
    struct jump *jump = &walk->jumps[walk->jump_count++];
    jump->target = target;
    jump->depth = (uint16_t)depth;
    jump->kept = (uint16_t)(depth < JUMP_STACK_MAX ? depth : JUMP_STACK_MAX);
    for (uint32_t i = 0; i < jump->kept; i++) jump->origins[i] = i < walk->depth ? walk->stack[i] : 0;
}

/* At the target of jumps. `falls`: whether it is reached by what stands before, too. */
static void land(struct walk *walk, uint32_t at, bool falls) {
    for (uint32_t i = 0; i < walk->jump_count;) {
        struct jump *jump = &walk->jumps[i];
        if (jump->target > at) {
            i++;
            continue;
        }
        if (jump->target == at && !falls) {
            walk->depth = jump->depth;
            for (uint32_t j = 0; j < jump->depth && j < ORIGIN_STACK_MAX; j++)
                walk->stack[j] = j < jump->kept ? jump->origins[j] : 0;
        }
        *jump = walk->jumps[--walk->jump_count];
    }
}

/* What the variables and constants among the operations push; false for others. */
static bool push_of_operation(struct walk *walk, int op, const uint8_t *operand) {
    switch (op) {
    case OP_get_loc: case OP_get_loc_check: push_local(walk, get_u16(operand)); return true;
    case OP_get_loc8: push_local(walk, operand[0]); return true;
    case OP_get_loc0: case OP_get_loc1: case OP_get_loc2: case OP_get_loc3: push_local(walk, op - OP_get_loc0); return true;
    case OP_get_loc0_loc1: push_local(walk, 0), push_local(walk, 1); return true;
    case OP_get_arg: push_argument(walk, get_u16(operand)); return true;
    case OP_get_arg0: case OP_get_arg1: case OP_get_arg2: case OP_get_arg3: push_argument(walk, op - OP_get_arg0); return true;
    case OP_get_var_ref: case OP_get_var_ref_check: push_outer(walk, get_u16(operand)); return true;
    case OP_get_var_ref0: case OP_get_var_ref1: case OP_get_var_ref2: case OP_get_var_ref3:
        push_outer(walk, op - OP_get_var_ref0);
        return true;
    case OP_get_var: case OP_get_var_undef: push_name(walk, get_u32(operand)); return true;
    case OP_push_this: push_name(walk, JS_ATOM_this); return true;
    case OP_push_i32: push_number(walk, (int32_t)get_u32(operand)); return true;
    case OP_push_i16: push_number(walk, (int16_t)get_u16(operand)); return true;
    case OP_push_i8: push_number(walk, (int8_t)operand[0]); return true;
    case OP_push_minus1: case OP_push_0: case OP_push_1: case OP_push_2: case OP_push_3: case OP_push_4: case OP_push_5:
    case OP_push_6: case OP_push_7:
        push_number(walk, op - OP_push_0);
        return true;
    case OP_push_atom_value:
        push_origin(walk, new_origin(walk, (struct origin){.kind = ORIGIN_TEXT, .u.atom = get_u32(operand)}));
        return true;
    case OP_undefined: push_word(walk, "undefined"); return true;
    case OP_null: push_word(walk, "null"); return true;
    case OP_push_true: push_word(walk, "true"); return true;
    case OP_push_false: push_word(walk, "false"); return true;
    default: return false;
    }
}

/* Replaces so many values by these of them, counted from the lowest. */
static bool permuted(struct walk *walk, uint32_t count, const char *order) {
    uint16_t values[4];
    for (uint32_t i = 0; i < count; i++) values[i] = origin_at(walk, count - 1 - i);
    walk->depth -= count;
    for (; *order != '\0'; order++) push_origin(walk, values[*order - '0']);
    return true;
}

/* Those that move values or read out of them; false for others. */
static bool move_of_operation(struct walk *walk, int op, const uint8_t *operand) {
    uint16_t top = origin_at(walk, 0), below = origin_at(walk, 1);
    switch (op) {
    case OP_dup: push_origin(walk, top); return true;
    case OP_dup2: push_origin(walk, below), push_origin(walk, top); return true;
    case OP_swap: return permuted(walk, 2, "10");
    case OP_insert2: return permuted(walk, 2, "101");
    case OP_insert3: return permuted(walk, 3, "2012");
    case OP_perm3: return permuted(walk, 3, "102");
    case OP_perm4: return permuted(walk, 4, "2013");
    case OP_rot3l: return permuted(walk, 3, "120");
    case OP_rot3r: return permuted(walk, 3, "201");
    case OP_rot4l: return permuted(walk, 4, "1230");
    case OP_nip: return permuted(walk, 2, "1");
    case OP_nip1: return permuted(walk, 3, "12");
    case OP_get_field: walk->depth--, push_field(walk, top, get_u32(operand)); return true;
    case OP_get_field2: push_field(walk, top, get_u32(operand)); return true;
    case OP_get_length: walk->depth--, push_field(walk, top, JS_ATOM_length); return true;
    case OP_get_array_el: walk->depth -= 2, push_element(walk, below, top); return true;
    case OP_get_array_el2: walk->depth--, push_element(walk, below, top); return true;
    case OP_get_private_field:
        walk->depth -= 2;
        push_field(walk, below, walk->origins[top].kind == ORIGIN_NAME ? walk->origins[top].u.atom : JS_ATOM_NULL);
        return true;
    case OP_set_loc: case OP_set_loc8: case OP_set_loc0: case OP_set_loc1: case OP_set_loc2: case OP_set_loc3: case OP_set_arg:
    case OP_set_arg0: case OP_set_arg1: case OP_set_arg2: case OP_set_arg3: case OP_set_var_ref: case OP_set_var_ref0:
    case OP_set_var_ref1: case OP_set_var_ref2: case OP_set_var_ref3: case OP_to_propkey: case OP_to_propkey2: case OP_set_name:
    case OP_check_object: case OP_to_object:
        return true;
    default: return false;
    }
}

/* Where the function called by an operation lies, from the top of the stack; -1 if it calls none. */
static int called_from_top(int op, const uint8_t *operand) {
    switch (op) {
    case OP_call0: case OP_call1: case OP_call2: case OP_call3: return op - OP_call0;
    case OP_call: case OP_tail_call: case OP_call_method: case OP_tail_call_method: case OP_eval: return get_u16(operand);
    case OP_call_constructor: return get_u16(operand) + 1;
    case OP_apply: return 2;
    default: return -1;
    }
}

static void step(struct walk *walk, int op, const uint8_t *operand) {
    if (push_of_operation(walk, op, operand)) return;
    const JSOpCode *known = &short_opcode_info(op);
    uint32_t pops = known->n_pop;
    if (known->fmt == OP_FMT_npop || known->fmt == OP_FMT_npop_u16) pops += get_u16(operand);
    if (known->fmt == OP_FMT_npopx) pops += op - OP_call0;
    if (walk->depth < pops) {
        walk->lost = true;
        return;
    }
    if (move_of_operation(walk, op, operand)) return;
    int called = called_from_top(op, operand);
    uint16_t made = 0;
    if (called >= 0)
        made = new_origin(walk, (struct origin){
            .kind = op == OP_call_constructor ? ORIGIN_NEW : ORIGIN_CALL, .of = origin_at(walk, called)});
    walk->depth -= pops;
    for (uint32_t i = 0; i < known->n_push; i++) push_origin(walk, i == 0 ? made : 0);
}

static bool never_falls(int op) {
    switch (op) {
    case OP_tail_call: case OP_tail_call_method: case OP_return: case OP_return_undef: case OP_return_async: case OP_throw:
    case OP_throw_error: case OP_ret: case OP_goto: case OP_goto8: case OP_goto16:
        return true;
    default: return false;
    }
}

static void note_jumps(struct walk *walk, int op, uint32_t at) {
    const uint8_t *operand = walk->code->byte_code_buf + at + 1;
    switch (op) {
    case OP_goto: case OP_if_true: case OP_if_false: case OP_catch:
        /* The handler finds the exception where the offset was. */
        note_jump(walk, at, at + 1 + get_u32(operand), walk->depth);
        break;
    case OP_gosub: note_jump(walk, at, at + 1 + get_u32(operand), walk->depth + 1); break;
    case OP_goto16: note_jump(walk, at, at + 1 + (int16_t)get_u16(operand), walk->depth); break;
    case OP_goto8: case OP_if_true8: case OP_if_false8: note_jump(walk, at, at + 1 + (int8_t)operand[0], walk->depth); break;
    default: break;
    }
}

/* Goes on to the operation that failed, whose end or inside `target` is. Its opcode, or -1. */
static int walk_to(struct walk *walk, uint32_t target) {
    bool falls = true;
    const uint8_t *code = walk->code->byte_code_buf;
    for (uint32_t at = 0; at < (uint32_t)walk->code->byte_code_len;) {
        int op = code[at];
        if (op == OP_invalid || op >= OP_COUNT || walk->lost) return -1;
        uint32_t next = at + short_opcode_info(op).size;
        land(walk, at, falls);
        if (target > at && target <= next) return op;
        /* Between statements nothing refers to any. */
        if (walk->depth == 0 && walk->jump_count == 0) walk->origin_count = 1;
        step(walk, op, code + at + 1);
        note_jumps(walk, op, at);
        falls = !never_falls(op);
        at = next;
    }
    return -1;
}

struct name {
    size_t length;
    char text[NAME_BYTES_MAX];
};

static void add_text(struct name *name, const char *text) {
    size_t length = strlen(text), room = sizeof name->text - 1 - name->length;
    if (length > room) length = room;
    memcpy(name->text + name->length, text, length);
    name->length += length;
    name->text[name->length] = '\0';
}

static void add_atom(JSContext *context, struct name *name, JSAtom atom) {
    char text[ATOM_GET_STR_BUF_SIZE];
    add_text(name, JS_AtomGetStr(context, text, sizeof text, atom));
}

static void add_origin(JSContext *context, struct walk *walk, struct name *name, uint16_t index, int levels) {
    static const char unknown[] = "(intermediate value)";
    const struct origin *origin = &walk->origins[index];
    char digits[16];
    if (levels == 0) {
        add_text(name, unknown);
        return;
    }
    switch (origin->kind) {
    case ORIGIN_NAME: add_atom(context, name, origin->u.atom); break;
    case ORIGIN_THIS: add_text(name, "this"); break;
    case ORIGIN_FIELD:
        add_origin(context, walk, name, origin->of, levels - 1);
        add_text(name, ".");
        add_atom(context, name, origin->u.atom);
        break;
    case ORIGIN_ELEMENT:
        add_origin(context, walk, name, origin->of, levels - 1);
        if (walk->origins[origin->key].kind == ORIGIN_TEXT) {
            add_text(name, ".");
            add_atom(context, name, walk->origins[origin->key].u.atom);
            break;
        }
        add_text(name, "[");
        if (origin->key == 0) add_text(name, "...");
        else add_origin(context, walk, name, origin->key, levels - 1);
        add_text(name, "]");
        break;
    case ORIGIN_CALL:
        add_origin(context, walk, name, origin->of, levels - 1);
        add_text(name, "(...)");
        break;
    case ORIGIN_NUMBER:
        snprintf(digits, sizeof digits, "%d", (int)origin->u.number);
        add_text(name, digits);
        break;
    case ORIGIN_TEXT:
        add_text(name, "\"");
        add_atom(context, name, origin->u.atom);
        add_text(name, "\"");
        break;
    case ORIGIN_WORD: add_text(name, origin->u.word); break;
    default: add_text(name, unknown); break;
    }
}

/* The script function that runs, if it is one. */
static JSFunctionBytecode *running_code(JSContext *context, uint32_t *at) {
    JSStackFrame *frame = context->rt->current_stack_frame;
    if (frame == NULL || frame->cur_pc == NULL) return NULL;
    JSFunctionBytecode *code = JS_GetFunctionBytecode(frame->cur_func);
    if (code == NULL) return NULL;
    *at = (uint32_t)(frame->cur_pc - code->byte_code_buf);
    if (*at > (uint32_t)code->byte_code_len || code->byte_code_len > NAMED_CODE_BYTES_MAX) return NULL;
    return code;
}

static bool engine_name(JSContext *context, bool iterated, struct name *name) {
    uint32_t at;
    JSFunctionBytecode *code = running_code(context, &at);
    if (code == NULL || context->rt->in_out_of_memory) return false;
    struct walk *walk = memory_take(sizeof *walk);
    if (walk == NULL) return false;
    memset(walk, 0, offsetof(struct walk, stack));
    walk->code = code;
    walk->origin_count = 1;
    walk->origins[0] = (struct origin){.kind = ORIGIN_UNKNOWN};
    int op = walk_to(walk, at), from_top = -1;
    if (op >= 0 && !iterated) from_top = called_from_top(op, code->byte_code_buf + at - (short_opcode_info(op).size - 1));
    if (iterated && op == OP_to_object) from_top = 0;
    if (iterated && (op == OP_for_of_start || op == OP_for_await_of_start || op == OP_append)) from_top = 0;
    bool found = from_top >= 0 && !walk->lost && (uint32_t)from_top < walk->depth;
    name->length = 0, name->text[0] = '\0';
    if (found) add_origin(context, walk, name, origin_at(walk, from_top), 8);
    memory_give_back(walk);
    return found;
}

/* The property that is read first of what is taken apart; JS_ATOM_NULL if that is not known. */
static JSAtom engine_next_property(JSContext *context) {
    uint32_t at;
    JSFunctionBytecode *code = running_code(context, &at);
    if (code == NULL) return JS_ATOM_NULL;
    for (int looked = 0; looked < 4 && at < (uint32_t)code->byte_code_len; looked++) {
        int op = code->byte_code_buf[at];
        if (op == OP_get_field || op == OP_get_field2) return get_u32(code->byte_code_buf + at + 1);
        if (op == OP_invalid || op >= OP_COUNT) break;
        at += short_opcode_info(op).size;
    }
    return JS_ATOM_NULL;
}

/* A value in few words, without asking it anything. */
static void engine_show(JSContext *context, JSValueConst value, struct name *name) {
    char text[32];
    name->length = 0, name->text[0] = '\0';
    switch (JS_VALUE_GET_NORM_TAG(value)) {
    case JS_TAG_UNDEFINED: add_text(name, "undefined"); break;
    case JS_TAG_NULL: add_text(name, "null"); break;
    case JS_TAG_BOOL: add_text(name, JS_VALUE_GET_BOOL(value) ? "true" : "false"); break;
    case JS_TAG_INT:
        snprintf(text, sizeof text, "%d", JS_VALUE_GET_INT(value));
        add_text(name, text);
        break;
    case JS_TAG_STRING: case JS_TAG_STRING_ROPE: case JS_TAG_FLOAT64: case JS_TAG_BIG_INT: case JS_TAG_SHORT_BIG_INT: {
        const char *shown = JS_ToCString(context, value);
        bool quoted = JS_IsString(value);
        if (quoted) add_text(name, "\"");
        add_text(name, shown != NULL ? shown : "(a value)");
        if (quoted) add_text(name, "\"");
        JS_FreeCString(context, shown);
        break;
    }
    case JS_TAG_SYMBOL: add_text(name, "Symbol()"); break;
    case JS_TAG_OBJECT: {
        JSObject *object = JS_VALUE_GET_OBJ(value);
        add_text(name, "#<");
        add_atom(context, name, context->rt->class_array[object->class_id].class_name);
        add_text(name, ">");
        break;
    }
    default: add_text(name, "(a value)"); break;
    }
}
