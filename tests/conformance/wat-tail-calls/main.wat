;; A million calls, each the last thing that its caller does.
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
  (func $count (param $left i32) (param $found i32) (result i32)
    (if (i32.eqz (local.get $left)) (then (return (local.get $found))))
    (return_call $count (i32.sub (local.get $left) (i32.const 1)) (i32.rem_u (i32.add (local.get $found) (i32.const 1)) (i32.const 43))))
  ;; 1,000,000 leaves 35 when it is divided by 43: seven more give 42.
  (func $answer (result i32) (call $count (i32.const 1000007) (i32.const 0))))
