//! `x ** y` as V8 has it: the method of fdlibm's `e_pow.c`, but for one place where V8 rounds otherwise.
//!
//! log2(x) is taken in two parts. The first has few digits, so that its product with the upper part of y is exact.

use libm::{fabs, scalbn, sqrt};

use crate::numbers::{high, with_high};

const TWO_53: f64 = 9_007_199_254_740_992.0;
/// Of log2 of a mantissa near 1 or 1.5.
const LOG_TERMS: [f64; 6] = [
    5.999_999_999_999_946_5e-1,
    4.285_714_285_785_501_8e-1,
    3.333_333_298_183_774_3e-1,
    2.727_281_238_085_34e-1,
    2.306_607_457_755_617_5e-1,
    2.069_750_178_003_384_2e-1,
];
/// Of 2 to the power of what is left.
const EXP_TERMS: [f64; 5] = [
    1.666_666_666_666_660_2e-1,
    -2.777_777_777_701_559_3e-3,
    6.613_756_321_437_934e-5,
    -1.653_390_220_546_525_2e-6,
    4.138_136_797_057_238_5e-8,
];
const LN2: f64 = 6.931_471_805_599_453e-1;
const LN2_HIGH: f64 = 6.931_471_824_645_996e-1;
const LN2_LOW: f64 = -1.904_654_299_957_768e-9;
/// log2(1.5) in two parts.
const LOG2_HIGH: f64 = 5.849_624_872_207_642e-1;
const LOG2_LOW: f64 = 1.350_039_202_129_749e-8;
/// 2/(3 ln 2), whole and in two parts.
const FACTOR: f64 = 9.617_966_939_259_756e-1;
const FACTOR_HIGH: f64 = 9.617_967_009_544_373e-1;
const FACTOR_LOW: f64 = -7.028_461_650_952_758e-9;
/// 1/ln 2, whole and in two parts.
const INVERSE: f64 = 1.442_695_040_888_963_4;
const INVERSE_HIGH: f64 = 1.442_695_021_629_333_5;
const INVERSE_LOW: f64 = 1.925_962_991_126_617_5e-8;
/// Half of the distance between the largest power and the next one.
const OVERFLOW: f64 = 8.008_566_259_537_294e-17;

fn without_low(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & 0xffff_ffff_0000_0000)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Exponent {
    Odd,
    Even,
    Fraction,
}

fn kind_of(y: f64) -> Exponent {
    let absolute = fabs(y);
    if absolute >= TWO_53 {
        return Exponent::Even;
    }
    let whole = absolute as u64;
    match whole as f64 == absolute {
        true if whole & 1 == 1 => Exponent::Odd,
        true => Exponent::Even,
        false => Exponent::Fraction,
    }
}

/// log2 of a number that is just beside 1, in two parts.
fn log2_near_one(x: f64) -> (f64, f64) {
    let t = x - 1.0;
    let w = (t * t) * (0.5 - t * (0.333_333_333_333_333_33 - t * 0.25));
    let u = INVERSE_HIGH * t;
    let v = t * INVERSE_LOW - w * INVERSE;
    let first = without_low(u + v);
    (first, v - (first - u))
}

/// log2 of a positive number, in two parts.
fn log2_parts(x: f64) -> (f64, f64) {
    let (mut x, mut n) = (x, 0);
    if high(x) < 0x0010_0000 {
        x *= TWO_53;
        n -= 53;
    }
    n += (high(x) >> 20) - 0x3ff;
    let mantissa = high(x) & 0x000f_ffff;
    let mut upper = mantissa | 0x3ff0_0000;
    // Above the root of 3 the next power of 2 is nearer.
    let near_half = mantissa > 0x3_988e && mantissa < 0xb_b67a;
    if mantissa >= 0xb_b67a {
        n += 1;
        upper -= 0x0010_0000;
    }
    x = with_high(x, upper);
    let (base, log_high, log_low) = if near_half {
        (1.5, LOG2_HIGH, LOG2_LOW)
    } else {
        (1.0, 0.0, 0.0)
    };
    let u = x - base;
    let v = 1.0 / (x + base);
    let s = u * v;
    let s_high = without_low(s);
    let t_high = with_high(
        0.0,
        ((upper >> 1) | 0x2000_0000) + 0x0008_0000 + (i32::from(near_half) << 18),
    );
    let t_low = x - (t_high - base);
    let s_low = v * ((u - s_high * t_high) - s_high * t_low);
    let square = s * s;
    let mut rest = square
        * square
        * LOG_TERMS
            .iter()
            .rev()
            .fold(0.0, |sum, term| sum * square + term);
    rest += s_low * (s_high + s);
    let square = s_high * s_high;
    let t_high = without_low(3.0 + square + rest);
    let t_low = rest - ((t_high - 3.0) - square);
    let u = s_high * t_high;
    let v = s_low * t_high + t_low * s;
    let p_high = without_low(u + v);
    let p_low = v - (p_high - u);
    let z_high = FACTOR_HIGH * p_high;
    let z_low = FACTOR_LOW * p_high + p_low * FACTOR + log_low;
    let t = f64::from(n);
    let first = without_low(((z_high + z_low) + log_high) + t);
    (first, z_low - (((first - t) - log_high) - z_high))
}

/// 2 to the power of a sum.
fn exp2_of(p_high: f64, p_low: f64) -> f64 {
    let sum = p_low + p_high;
    let (j, low) = (high(sum), sum.to_bits() as u32);
    if j >= 0x4090_0000 {
        if j > 0x4090_0000 || low != 0 || p_low + OVERFLOW > sum - p_high {
            return f64::INFINITY;
        }
    } else if j & 0x7fff_ffff >= 0x4090_cc00
        && (j as u32 > 0xc090_cc00 || low != 0 || p_low <= sum - p_high)
    {
        return 0.0;
    }
    let (mut p_high, mut n) = (p_high, 0);
    if j & 0x7fff_ffff > 0x3fe0_0000 {
        let k = ((j & 0x7fff_ffff) >> 20) - 0x3ff;
        n = j.wrapping_add(0x0010_0000 >> (k + 1));
        let k = ((n & 0x7fff_ffff) >> 20) - 0x3ff;
        p_high -= with_high(0.0, n & !(0x000f_ffff >> k));
        n = ((n & 0x000f_ffff) | 0x0010_0000) >> (20 - k);
        if j < 0 {
            n = -n;
        }
    }
    let t = without_low(p_low + p_high);
    let u = t * LN2_HIGH;
    let v = (p_low - (t - p_high)) * LN2 + t * LN2_LOW;
    let z = u + v;
    let w = v - (z - u);
    let square = z * z;
    let t1 = z - square
        * EXP_TERMS
            .iter()
            .rev()
            .fold(0.0, |sum, term| sum * square + term);
    // fdlibm divides by the first difference only.
    let r = (z * t1) / ((t1 - 2.0) - (w + z * w));
    let z = 1.0 - (r - z);
    let exponent = high(z).wrapping_add(n << 20);
    if exponent >> 20 <= 0 {
        scalbn(z, n)
    } else {
        with_high(z, exponent)
    }
}

#[unsafe(no_mangle)]
extern "C" fn library_pow(x: f64, y: f64) -> f64 {
    if y == 0.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    let absolute = fabs(x);
    if y.is_infinite() {
        return match absolute {
            1.0 => f64::NAN,
            _ if (absolute > 1.0) == (y > 0.0) => f64::INFINITY,
            _ => 0.0,
        };
    }
    match y {
        1.0 => return x,
        -1.0 => return 1.0 / x,
        2.0 => return x * x,
        0.5 if x.is_sign_positive() => return sqrt(x),
        _ => {}
    }
    let kind = kind_of(y);
    let sign = if x.is_sign_negative() && kind == Exponent::Odd {
        -1.0
    } else {
        1.0
    };
    if absolute == 0.0 || absolute == 1.0 || absolute.is_infinite() {
        if x == -1.0 && kind == Exponent::Fraction {
            return f64::NAN;
        }
        return sign * if y < 0.0 { 1.0 / absolute } else { absolute };
    }
    if x < 0.0 && kind == Exponent::Fraction {
        return f64::NAN;
    }
    let extreme = if (absolute > 1.0) == (y > 0.0) {
        f64::INFINITY
    } else {
        0.0
    };
    let (upper, exponent) = (high(absolute), high(y) & 0x7fff_ffff);
    let (t1, t2) = if exponent > 0x41e0_0000 {
        if exponent > 0x43f0_0000 {
            return extreme;
        }
        if upper < 0x3fef_ffff || upper > 0x3ff0_0000 {
            return sign * extreme;
        }
        log2_near_one(absolute)
    } else {
        log2_parts(absolute)
    };
    let y_high = without_low(y);
    sign * exp2_of(y_high * t1, (y - y_high) * t1 + y * t2)
}
