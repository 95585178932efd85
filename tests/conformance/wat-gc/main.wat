;; A list of structures is made, and its numbers are added up.
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
  (type $list (struct (field $value i32) (field $next (ref null $list))))
  (func $answer (result i32)
    (local $list (ref null $list)) (local $each i32) (local $sum i32)
    (loop $more
      (local.set $each (i32.add (local.get $each) (i32.const 1)))
      (local.set $list (struct.new $list (local.get $each) (local.get $list)))
      (br_if $more (i32.lt_u (local.get $each) (i32.const 8))))
    (loop $next
      (local.set $sum (i32.add (local.get $sum) (struct.get $list $value (local.get $list))))
      (local.set $list (struct.get $list $next (local.get $list)))
      (br_if $next (i32.eqz (ref.is_null (local.get $list)))))
    (i32.add (local.get $sum) (i32.const 6))))
