;; A memory that threads would share.
(module
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"answer\":00}")
  (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "serverledge_handle") (param i32 i32) (result i64)
    (local $answer i32)
    (local.set $answer (call $answer))
    (i32.store8 (i32.const 10) (i32.add (i32.const 48) (i32.div_u (local.get $answer) (i32.const 10))))
    (i32.store8 (i32.const 11) (i32.add (i32.const 48) (i32.rem_u (local.get $answer) (i32.const 10))))
    (i64.const 13))
  (memory $shared 1 1 shared)
  (func $answer (result i32) (i32.atomic.rmw.add $shared (i32.const 0) (i32.const 42))))
