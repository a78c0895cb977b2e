;; Octets of a message, sixteen at a time. `octets.ts` says what the functions are for and puts octets into the memory;
;; `npm run octets` writes `octets-module.ts` from this file.
;;
;;   0        keep: eight places for each set of octets that go
;;   4095     in: the octet before the window, the window of up to 65536, some octets of text behind it
;;   69696    out: as many
(module
  (memory (export "memory") 3 3)
  (global $KEEP i32 (i32.const 0))
  (global $IN (export "IN") i32 (i32.const 4096))
  (global $OUT (export "OUT") i32 (i32.const 69696))

  ;; For each set of octets of eight that go, a bit each: the places of those that stay, first to last.
  (func $fill (local $set i32) (local $place i32) (local $to i32)
    (loop $sets
      (local.set $to (i32.add (global.get $KEEP) (i32.shl (local.get $set) (i32.const 3))))
      (local.set $place (i32.const 0))
      (loop $places
        (if (i32.eqz (i32.and (i32.shr_u (local.get $set) (local.get $place)) (i32.const 1)))
          (then
            (i32.store8 (local.get $to) (local.get $place))
            (local.set $to (i32.add (local.get $to) (i32.const 1)))))
        (local.set $place (i32.add (local.get $place) (i32.const 1)))
        (br_if $places (i32.lt_u (local.get $place) (i32.const 8))))
      (local.set $set (i32.add (local.get $set) (i32.const 1)))
      (br_if $sets (i32.lt_u (local.get $set) (i32.const 256)))))
  (start $fill)

  ;; What the window holds: 1 an octet beyond ASCII, 2 a NUL, or a CR or LF that is no part of a CRLF, 4 over 999 octets
  ;; without LF. The octet before the window counts.
  (func (export "facts") (param $length i32) (result i32)
    (local $at i32) (local $end i32) (local $octets v128) (local $lf v128) (local $all v128) (local $stray v128)
    (local $CR v128) (local $LF v128) (local $NUL v128)
    ;; Where the line begins; the line ends of sixteen octets, a bit each.
    (local $line i32) (local $ends i32) (local $long i32)
    (local.set $CR (i8x16.splat (i32.const 13)))
    (local.set $LF (i8x16.splat (i32.const 10)))
    (local.set $at (global.get $IN))
    (local.set $line (local.get $at))
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    ;; Behind the window is text.
    (v128.store (local.get $end) (i8x16.splat (i32.const 0x78)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $octets (v128.load (local.get $at)))
        (local.set $all (v128.or (local.get $all) (local.get $octets)))
        (local.set $lf (i8x16.eq (local.get $octets) (local.get $LF)))
        (local.set $stray
          (v128.or (local.get $stray)
            (v128.or
              (i8x16.eq (local.get $octets) (local.get $NUL))
              ;; Each LF stands behind a CR, and each octet behind a CR is a LF.
              (v128.xor
                (local.get $lf)
                (i8x16.eq (v128.load (i32.sub (local.get $at) (i32.const 1))) (local.get $CR))))))
        (local.set $ends (i8x16.bitmask (local.get $lf)))
        (local.set $long
          (i32.or (local.get $long)
            (i32.gt_u
              (i32.sub
                (i32.add (local.get $at) (i32.ctz (i32.or (local.get $ends) (i32.const 0x10000))))
                (local.get $line))
              (i32.const 999))))
        (local.set $line
          (select
            (i32.sub (i32.add (local.get $at) (i32.const 32)) (i32.clz (local.get $ends)))
            (local.get $line)
            (local.get $ends)))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next)))
    (i32.or
      (i32.ne (i8x16.bitmask (local.get $all)) (i32.const 0))
      (i32.or
        (i32.shl (v128.any_true (local.get $stray)) (i32.const 1))
        (i32.shl (local.get $long) (i32.const 2)))))

  ;; Writes the window to `out` with each run of blanks as one space, and none before a CR. Returns how many octets that
  ;; are. The octet after the window counts: of a run, the last blank is the one that may stay.
  (func (export "collapse") (param $length i32) (param $after i32) (result i32)
    (local $at i32) (local $end i32) (local $to i32) (local $octets v128) (local $next v128) (local $blank v128)
    (local $CR v128) (local $SPACE v128) (local $TAB v128)
    ;; The octets that go, a bit each.
    (local $gone i32)
    (local.set $CR (i8x16.splat (i32.const 13)))
    (local.set $SPACE (i8x16.splat (i32.const 32)))
    (local.set $TAB (i8x16.splat (i32.const 9)))
    (local.set $at (global.get $IN))
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (local.set $to (global.get $OUT))
    ;; Behind that octet is text, of which nothing goes.
    (i32.store8 (local.get $end) (local.get $after))
    (v128.store offset=1 (local.get $end) (i8x16.splat (i32.const 0x78)))
    (block $done
      (loop $more
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $octets (v128.load (local.get $at)))
        (local.set $next (v128.load (i32.add (local.get $at) (i32.const 1))))
        (local.set $blank
          (v128.or
            (i8x16.eq (local.get $octets) (local.get $SPACE))
            (i8x16.eq (local.get $octets) (local.get $TAB))))
        (local.set $gone
          (i8x16.bitmask
            (v128.and
              (local.get $blank)
              (v128.or
                (v128.or
                  (i8x16.eq (local.get $next) (local.get $SPACE))
                  (i8x16.eq (local.get $next) (local.get $TAB)))
                (i8x16.eq (local.get $next) (local.get $CR))))))
        (local.set $octets (v128.bitselect (local.get $SPACE) (local.get $octets) (local.get $blank)))
        (if (local.get $gone)
          (then
            (v128.store64_lane 0 (local.get $to) (call $kept (local.get $octets) (i32.and (local.get $gone) (i32.const 255))))
            (local.set $to
              (i32.sub
                (i32.add (local.get $to) (i32.const 8))
                (i32.popcnt (i32.and (local.get $gone) (i32.const 255)))))
            (v128.store64_lane 0 (local.get $to)
              (call $kept
                (i8x16.shuffle 8 9 10 11 12 13 14 15 8 9 10 11 12 13 14 15 (local.get $octets) (local.get $octets))
                (i32.shr_u (local.get $gone) (i32.const 8))))
            (local.set $to
              (i32.sub
                (i32.add (local.get $to) (i32.const 8))
                (i32.popcnt (i32.shr_u (local.get $gone) (i32.const 8))))))
          (else
            (v128.store (local.get $to) (local.get $octets))
            (local.set $to (i32.add (local.get $to) (i32.const 16)))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $more)))
    ;; Without what was written of the octets behind the window.
    (i32.sub
      (i32.sub (local.get $to) (global.get $OUT))
      (i32.sub (local.get $at) (local.get $end))))

  ;; The first eight octets without those that go.
  (func $kept (param $octets v128) (param $gone i32) (result v128)
    (i8x16.swizzle
      (local.get $octets)
      (v128.load64_zero (i32.add (global.get $KEEP) (i32.shl (local.get $gone) (i32.const 3)))))))
