;; A reactor without imports, written by hand: params {"a":2,"b":3} give {"sum":5}.
;;
;; The host calls serverledge_alloc(length), writes the params there, and calls serverledge_handle(pointer, length).
;; The answer is pointer << 32 | length; bit 31 of the length marks an error object.
;;
;; Memory, one page:
;;      0 ..  1023   the fixed texts below
;;   1024 ..  1151   the result
;;   1152 .. 65535   the params
;;
;; The reader goes once over the params and keeps its place in $at. Each reading function leaves $at behind what it
;; read; where the text is not JSON it sets $bad, and everybody returns.
(module
  (memory (export "memory") 1)
  (global $at (mut i32) (i32.const 0))    ;; next byte to read
  (global $end (mut i32) (i32.const 0))   ;; first byte behind the params
  (global $bad (mut i32) (i32.const 0))   ;; 1: the params are not a JSON object

  (data (i32.const 0) "{\22sum\22:")
  (data (i32.const 64) "{\22error\22:\22BadParams\22,\22message\22:\22the params are not a JSON object\22,\22stack\22:\22\22}")
  (data (i32.const 192) "{\22error\22:\22BadParams\22,\22message\22:\22a must be an integer of at most 15 digits\22,\22stack\22:\22\22}")
  (data (i32.const 320) "{\22error\22:\22BadParams\22,\22message\22:\22b must be an integer of at most 15 digits\22,\22stack\22:\22\22}")

  ;; One call at a time, so the params always have the same place. 0 says that they do not fit.
  (func (export "serverledge_alloc") (param $length i32) (result i32)
    (select (i32.const 1152) (i32.const 0) (i32.le_u (local.get $length) (i32.const 64384))))

  (func (export "serverledge_handle") (param $pointer i32) (param $length i32) (result i64)
    (local $a i64) (local $b i64) (local $has_a i32) (local $has_b i32) (local $key i32)
    (global.set $at (local.get $pointer))
    (global.set $end (i32.add (local.get $pointer) (local.get $length)))
    (global.set $bad (i32.const 0))

    (call $expect (i32.const 123))                                          ;; {
    (block $closed
      (br_if $closed (call $accept (i32.const 125)))                        ;; }
      (loop $member
        (if (global.get $bad) (then (return (call $error (i32.const 64) (i32.const 77)))))
        (local.set $key (call $key))
        (call $expect (i32.const 58))                                       ;; :
        (if (i32.eq (local.get $key) (i32.const 97))                        ;; a
          (then (local.set $has_a (call $is_integer))
                (if (local.get $has_a) (then (local.set $a (call $integer))) (else (call $skip_value))))
          (else (if (i32.eq (local.get $key) (i32.const 98))                ;; b
            (then (local.set $has_b (call $is_integer))
                  (if (local.get $has_b) (then (local.set $b (call $integer))) (else (call $skip_value))))
            (else (call $skip_value)))))
        (br_if $member (call $accept (i32.const 44))))                      ;; ,
      (call $expect (i32.const 125)))                                       ;; }
    (if (i32.or (global.get $bad) (i32.ge_s (call $peek) (i32.const 0)))    ;; something follows the object
      (then (return (call $error (i32.const 64) (i32.const 77)))))
    (if (i32.eqz (local.get $has_a)) (then (return (call $error (i32.const 192) (i32.const 86)))))
    (if (i32.eqz (local.get $has_b)) (then (return (call $error (i32.const 320) (i32.const 86)))))
    (call $answer (i64.add (local.get $a) (local.get $b))))

  ;; === results ===

  (func $error (param $pointer i32) (param $length i32) (result i64)
    (call $region (local.get $pointer) (i32.or (local.get $length) (i32.const 0x80000000))))

  (func $region (param $pointer i32) (param $length i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $pointer)) (i64.const 32)) (i64.extend_i32_u (local.get $length))))

  ;; Writes {"sum":N} from its end backwards, because digits come out that way; the result ends at 1152.
  (func $answer (param $sum i64) (result i64)
    (local $to i32) (local $rest i64)
    (local.set $to (i32.const 1151))
    (i32.store8 (local.get $to) (i32.const 125))                            ;; }
    (local.set $rest (select (i64.sub (i64.const 0) (local.get $sum)) (local.get $sum)
                             (i64.lt_s (local.get $sum) (i64.const 0))))
    (loop $digit
      (local.set $to (i32.sub (local.get $to) (i32.const 1)))
      (i32.store8 (local.get $to)
        (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $rest) (i64.const 10)))))
      (local.set $rest (i64.div_u (local.get $rest) (i64.const 10)))
      (br_if $digit (i64.ne (local.get $rest) (i64.const 0))))
    (if (i64.lt_s (local.get $sum) (i64.const 0))
      (then (local.set $to (i32.sub (local.get $to) (i32.const 1)))
            (i32.store8 (local.get $to) (i32.const 45))))                   ;; -
    (local.set $to (i32.sub (local.get $to) (i32.const 7)))
    (memory.copy (local.get $to) (i32.const 0) (i32.const 7))               ;; {"sum":
    (call $region (local.get $to) (i32.sub (i32.const 1152) (local.get $to))))

  ;; === reading ===

  ;; The next byte, or -1 at the end; does not move.
  (func $byte (result i32)
    (if (result i32) (i32.lt_u (global.get $at) (global.get $end))
      (then (i32.load8_u (global.get $at)))
      (else (i32.const -1))))

  (func $step (global.set $at (i32.add (global.get $at) (i32.const 1))))

  ;; Skips white space, then as $byte.
  (func $peek (result i32)
    (local $c i32)
    (loop $next
      (local.set $c (call $byte))
      (if (i32.or (i32.or (i32.eq (local.get $c) (i32.const 32)) (i32.eq (local.get $c) (i32.const 9)))
                  (i32.or (i32.eq (local.get $c) (i32.const 10)) (i32.eq (local.get $c) (i32.const 13))))
        (then (call $step) (br $next))))
    (local.get $c))

  ;; Reads the byte $c if it is next, and says whether it was.
  (func $accept (param $c i32) (result i32)
    (if (result i32) (i32.eq (call $peek) (local.get $c))
      (then (call $step) (i32.const 1))
      (else (i32.const 0))))

  (func $expect (param $c i32)
    (if (i32.eqz (call $accept (local.get $c))) (then (global.set $bad (i32.const 1)))))

  ;; Reads a member's name. The result is its letter if it has just one, else 0: other names are of no interest.
  ;; (A name spelt with escapes, "\u0061" for "a", counts as another one.)
  (func $key (result i32)
    (local $start i32)
    (drop (call $peek))
    (local.set $start (global.get $at))
    (call $skip_string)
    (if (result i32) (i32.and (i32.eqz (global.get $bad))
                              (i32.eq (i32.sub (global.get $at) (local.get $start)) (i32.const 3)))
      (then (i32.load8_u offset=1 (local.get $start)))
      (else (i32.const 0))))

  (func $skip_string
    (local $c i32)
    (call $expect (i32.const 34))                                           ;; "
    (loop $next
      (if (global.get $bad) (then (return)))
      (local.set $c (call $byte))
      (call $step)
      (if (i32.eq (local.get $c) (i32.const 34)) (then (return)))
      (if (i32.eq (local.get $c) (i32.const 92)) (then (call $step)))       ;; \ and what it escapes
      (if (i32.lt_s (local.get $c) (i32.const 32)) (then (global.set $bad (i32.const 1))))
      (br $next)))

  ;; Skips any value: brackets are counted, not matched, since nobody looks at what is inside.
  (func $skip_value
    (local $c i32) (local $depth i32)
    (loop $next
      (if (global.get $bad) (then (return)))
      (local.set $c (call $peek))
      (if (i32.eq (local.get $c) (i32.const 34))
        (then (call $skip_string))
        (else (if (i32.or (i32.eq (local.get $c) (i32.const 123)) (i32.eq (local.get $c) (i32.const 91)))
          (then (call $step) (local.set $depth (i32.add (local.get $depth) (i32.const 1))))
          (else (if (i32.and (i32.gt_s (local.get $depth) (i32.const 0))
                             (i32.or (i32.eq (local.get $c) (i32.const 125)) (i32.eq (local.get $c) (i32.const 93))))
            (then (call $step) (local.set $depth (i32.sub (local.get $depth) (i32.const 1))))
            (else (if (i32.and (i32.gt_s (local.get $depth) (i32.const 0))
                               (i32.or (i32.eq (local.get $c) (i32.const 44)) (i32.eq (local.get $c) (i32.const 58))))
              (then (call $step))
              (else (call $skip_word)))))))))
      (br_if $next (i32.gt_s (local.get $depth) (i32.const 0)))))

  ;; Skips a number, true, false or null: at least one byte of [0-9A-Za-z+.-].
  (func $skip_word
    (local $start i32)
    (local.set $start (global.get $at))
    (loop $next
      (if (call $is_word (call $byte)) (then (call $step) (br $next))))
    (if (i32.eq (global.get $at) (local.get $start)) (then (global.set $bad (i32.const 1)))))

  (func $is_word (param $c i32) (result i32)
    (i32.or (i32.or (call $is_digit (local.get $c))
                    (i32.lt_u (i32.sub (i32.or (local.get $c) (i32.const 32)) (i32.const 97)) (i32.const 26)))
            (i32.or (i32.eq (local.get $c) (i32.const 43))
                    (i32.or (i32.eq (local.get $c) (i32.const 45)) (i32.eq (local.get $c) (i32.const 46))))))

  (func $is_digit (param $c i32) (result i32)
    (i32.lt_u (i32.sub (local.get $c) (i32.const 48)) (i32.const 10)))

  ;; Whether the next value is a minus sign or none, then 1 to 15 digits without a leading zero, and nothing else. Does not move.
  (func $is_integer (result i32)
    (local $start i32) (local $first i32) (local $digits i32) (local $answer i32)
    (drop (call $peek))
    (local.set $start (global.get $at))
    (if (i32.eq (call $byte) (i32.const 45)) (then (call $step)))
    (local.set $first (call $byte))
    (loop $next
      (if (call $is_digit (call $byte))
        (then (call $step) (local.set $digits (i32.add (local.get $digits) (i32.const 1))) (br $next))))
    (local.set $answer
      (i32.and (i32.and (i32.ge_u (local.get $digits) (i32.const 1)) (i32.le_u (local.get $digits) (i32.const 15)))
               (i32.and (i32.eqz (call $is_word (call $byte)))
                        (i32.or (i32.ne (local.get $first) (i32.const 48)) (i32.eq (local.get $digits) (i32.const 1))))))
    (global.set $at (local.get $start))
    (local.get $answer))

  ;; Reads what $is_integer has agreed to.
  (func $integer (result i64)
    (local $value i64) (local $minus i32)
    (local.set $minus (call $accept (i32.const 45)))
    (loop $next
      (if (call $is_digit (call $byte))
        (then
          (local.set $value (i64.add (i64.mul (local.get $value) (i64.const 10))
                                     (i64.extend_i32_u (i32.sub (call $byte) (i32.const 48)))))
          (call $step)
          (br $next))))
    (select (i64.sub (i64.const 0) (local.get $value)) (local.get $value) (local.get $minus)))
)
