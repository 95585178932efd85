//! Mathematical functions that give the same as V8's, to the last digit.
//!
//! V8 has those of fdlibm (Sun Microsystems, 1993, <https://www.netlib.org/fdlibm/>), some of them as FreeBSD has
//! changed them. Where the crate `libm` and libc have another method, it is written down here as fdlibm's comments
//! describe it.

use libm::{expm1, fabs, sqrt};

unsafe extern "C" {
    // libc's: the remainder of pi/2 in two parts, and how often it was taken off.
    fn __rem_pio2(x: f64, remainder: *mut f64) -> i32;
    safe fn atan(x: f64) -> f64;
}

const LN2: f64 = 6.931_471_805_599_453e-1;
const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
const TWO_54: f64 = 18_014_398_509_481_984.0;
/// Of log(1+s) - log(1-s) = 2s + s^3 (L1 + s^2 L2 + …).
const LOG_TERMS: [f64; 7] = [
    6.666_666_666_666_735e-1,
    3.999_999_999_940_942e-1,
    2.857_142_874_366_239e-1,
    2.222_219_843_214_978_4e-1,
    1.818_357_216_161_805e-1,
    1.531_383_769_920_937_3e-1,
    1.479_819_860_511_658_6e-1,
];
/// The largest argument whose `exp` is finite, and of which `cosh` is.
const EXP_MAX: f64 = 709.782_226_563_356_3;
const COSH_MAX: f64 = 710.475_860_073_943_9;
const HALF_PI: f64 = core::f64::consts::FRAC_PI_2;
const PI: f64 = core::f64::consts::PI;
const PI_LOW: f64 = 1.224_646_799_147_353_2e-16;

/// The upper half of the bits, with the sign.
pub(crate) fn high(x: f64) -> i32 {
    (x.to_bits() >> 32) as i32
}

pub(crate) fn with_high(x: f64, high: i32) -> f64 {
    f64::from_bits(u64::from(high as u32) << 32 | x.to_bits() & 0xffff_ffff)
}

// === exponential function, roots ===

#[unsafe(no_mangle)]
extern "C" fn library_exp(x: f64) -> f64 {
    // Which is a last digit off.
    if x == 1.0 {
        core::f64::consts::E
    } else {
        libm::exp(x)
    }
}

/// The root of the sum of squares, which are divided by the largest, and added with what was lost (W. Kahan, 1965).
///
/// # Safety
///
/// There are so many values.
#[unsafe(no_mangle)]
unsafe extern "C" fn library_hypot(values: *const f64, count: usize) -> f64 {
    let values = if count == 0 {
        &[]
    } else {
        // SAFETY: as this function's.
        unsafe { core::slice::from_raw_parts(values, count) }
    };
    if values.iter().any(|value| value.is_infinite()) {
        return f64::INFINITY;
    }
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let largest = values
        .iter()
        .fold(0.0, |largest: f64, value| largest.max(fabs(*value)));
    if largest == 0.0 {
        return 0.0;
    }
    let (mut sum, mut lost) = (0.0, 0.0);
    for value in values {
        let part = fabs(*value) / largest;
        let square = part * part - lost;
        let next = sum + square;
        lost = (next - sum) - square;
        sum = next;
    }
    sqrt(sum) * largest
}

// === logarithms ===

/// The even and the odd terms for s^2, each beginning with the highest.
fn log_terms(z: f64) -> f64 {
    let [l1, l2, l3, l4, l5, l6, l7] = LOG_TERMS;
    let w = z * z;
    let even = w * (l2 + w * (l4 + w * l6));
    let odd = z * (l1 + w * (l3 + w * (l5 + w * l7)));
    odd + even
}

#[unsafe(no_mangle)]
extern "C" fn library_log(x: f64) -> f64 {
    let (mut x, mut k) = (x, 0);
    if high(x) < 0x0010_0000 {
        if x == 0.0 {
            return f64::NEG_INFINITY;
        }
        if x < 0.0 {
            return f64::NAN;
        }
        if !x.is_nan() {
            k = -54;
            x *= TWO_54;
        }
    }
    if !x.is_finite() {
        return x + x;
    }
    k += (high(x) >> 20) - 1023;
    let mantissa = high(x) & 0x000f_ffff;
    // Whether it is above the root of 2: then it is halved.
    let above = (mantissa + 0x9_5f64) & 0x10_0000;
    let f = with_high(x, mantissa | (above ^ 0x3ff0_0000)) - 1.0;
    let exponent = f64::from(k + (above >> 20));
    if 0x000f_ffff & (2 + mantissa) < 3 {
        if f == 0.0 {
            return if exponent == 0.0 {
                0.0
            } else {
                exponent * LN2_HIGH + exponent * LN2_LOW
            };
        }
        let rest = f * f * (0.5 - 0.333_333_333_333_333_33 * f);
        return if exponent == 0.0 {
            f - rest
        } else {
            exponent * LN2_HIGH - ((rest - exponent * LN2_LOW) - f)
        };
    }
    let s = f / (2.0 + f);
    let rest = log_terms(s * s);
    if (mantissa - 0x6_147a) | (0x6_b851 - mantissa) > 0 {
        let half = 0.5 * f * f;
        if exponent == 0.0 {
            f - (half - s * (half + rest))
        } else {
            exponent * LN2_HIGH - ((half - (s * (half + rest) + exponent * LN2_LOW)) - f)
        }
    } else if exponent == 0.0 {
        f - s * (f - rest)
    } else {
        exponent * LN2_HIGH - ((s * (f - rest) - exponent * LN2_LOW) - f)
    }
}

#[unsafe(no_mangle)]
extern "C" fn library_log1p(x: f64) -> f64 {
    let hx = high(x);
    let absolute = hx & 0x7fff_ffff;
    if x.is_nan() || x == f64::INFINITY {
        return x + x;
    }
    if x <= -1.0 {
        return if x == -1.0 {
            f64::NEG_INFINITY
        } else {
            f64::NAN
        };
    }
    if absolute < 0x3e20_0000 {
        return if absolute < 0x3c90_0000 {
            x
        } else {
            x - x * x * 0.5
        };
    }
    let (mut k, mut f, mut mantissa, mut correction) = (0, x, 1, 0.0);
    // Beyond -0.2929 and 0.41422.
    if hx >= 0x3fda_827a || (hx < 0 && hx > 0xbfd2_bec4_u32 as i32) {
        let mut u = x;
        if hx < 0x4340_0000 {
            u = 1.0 + x;
            k = (high(u) >> 20) - 1023;
            correction = if k > 0 { 1.0 - (u - x) } else { x - (u - 1.0) } / u;
        } else {
            k = (high(u) >> 20) - 1023;
        }
        mantissa = high(u) & 0x000f_ffff;
        if mantissa < 0x6_a09e {
            u = with_high(u, mantissa | 0x3ff0_0000);
        } else {
            k += 1;
            u = with_high(u, mantissa | 0x3fe0_0000);
            mantissa = (0x10_0000 - mantissa) >> 2;
        }
        f = u - 1.0;
    }
    let (exponent, half) = (f64::from(k), 0.5 * f * f);
    if mantissa == 0 {
        if f == 0.0 {
            return if k == 0 {
                0.0
            } else {
                exponent * LN2_HIGH + (correction + exponent * LN2_LOW)
            };
        }
        let rest = half * (1.0 - 0.666_666_666_666_666_66 * f);
        return if k == 0 {
            f - rest
        } else {
            exponent * LN2_HIGH - ((rest - (exponent * LN2_LOW + correction)) - f)
        };
    }
    let s = f / (2.0 + f);
    let z = s * s;
    let rest = z * LOG_TERMS.iter().rev().fold(0.0, |sum, term| sum * z + term);
    if k == 0 {
        f - (half - s * (half + rest))
    } else {
        exponent * LN2_HIGH - ((half - (s * (half + rest) + (exponent * LN2_LOW + correction))) - f)
    }
}

#[unsafe(no_mangle)]
extern "C" fn library_log2(x: f64) -> f64 {
    libm::log2(x)
}

#[unsafe(no_mangle)]
extern "C" fn library_log10(x: f64) -> f64 {
    const INVERSE_LN10: f64 = 4.342_944_819_032_518e-1;
    const LOG10_2_HIGH: f64 = 3.010_299_956_636_117_7e-1;
    const LOG10_2_LOW: f64 = 3.694_239_077_158_931e-13;
    let (mut x, mut k) = (x, 0);
    if high(x) < 0x0010_0000 {
        if x == 0.0 {
            return f64::NEG_INFINITY;
        }
        if x < 0.0 {
            return f64::NAN;
        }
        if !x.is_nan() {
            k = -54;
            x *= TWO_54;
        }
    }
    if !x.is_finite() {
        return x + x;
    }
    if x == 1.0 {
        return 0.0;
    }
    k += (high(x) >> 20) - 1023;
    let below = i32::from(k < 0);
    let mantissa = with_high(x, (high(x) & 0x000f_ffff) | ((0x3ff - below) << 20));
    let exponent = f64::from(k + below);
    let low = exponent * LOG10_2_LOW + INVERSE_LN10 * library_log(mantissa);
    low + exponent * LOG10_2_HIGH
}

// === hyperbolic functions ===

#[unsafe(no_mangle)]
extern "C" fn library_cosh(x: f64) -> f64 {
    let absolute = fabs(x);
    if !x.is_finite() {
        return x * x;
    }
    if high(absolute) < 0x3fd6_2e43 {
        let t = expm1(absolute);
        let w = 1.0 + t;
        return if high(absolute) < 0x3c80_0000 {
            w
        } else {
            1.0 + (t * t) / (w + w)
        };
    }
    if absolute < 22.0 {
        let t = library_exp(absolute);
        return 0.5 * t + 0.5 / t;
    }
    if absolute < EXP_MAX {
        return 0.5 * library_exp(absolute);
    }
    if absolute <= COSH_MAX {
        let w = library_exp(0.5 * absolute);
        return 0.5 * w * w;
    }
    f64::INFINITY
}

#[unsafe(no_mangle)]
extern "C" fn library_sinh(x: f64) -> f64 {
    let (absolute, half) = (fabs(x), if x < 0.0 { -0.5 } else { 0.5 });
    if !x.is_finite() {
        return x + x;
    }
    if absolute < 22.0 {
        if absolute < 3.725_290_298_461_914e-9 {
            return x;
        }
        let t = expm1(absolute);
        return if absolute < 1.0 {
            half * (2.0 * t - t * t / (t + 1.0))
        } else {
            half * (t + t / (t + 1.0))
        };
    }
    if absolute < EXP_MAX {
        return half * library_exp(absolute);
    }
    if absolute <= COSH_MAX {
        let w = library_exp(0.5 * absolute);
        return half * w * w;
    }
    x * f64::INFINITY
}

#[unsafe(no_mangle)]
extern "C" fn library_tanh(x: f64) -> f64 {
    let absolute = fabs(x);
    if x.is_nan() {
        return x;
    }
    if high(absolute) < 0x3e30_0000 {
        return x;
    }
    let z = if absolute >= 22.0 {
        1.0
    } else if absolute >= 1.0 {
        1.0 - 2.0 / (expm1(2.0 * absolute) + 2.0)
    } else {
        let t = expm1(-2.0 * absolute);
        -t / (t + 2.0)
    };
    if x < 0.0 { -z } else { z }
}

#[unsafe(no_mangle)]
extern "C" fn library_asinh(x: f64) -> f64 {
    let absolute = fabs(x);
    if !x.is_finite() {
        return x + x;
    }
    if high(absolute) < 0x3e30_0000 {
        return x;
    }
    let w = if high(absolute) > 0x41b0_0000 {
        library_log(absolute) + LN2
    } else if high(absolute) > 0x4000_0000 {
        library_log(2.0 * absolute + 1.0 / (sqrt(x * x + 1.0) + absolute))
    } else {
        let t = x * x;
        library_log1p(absolute + t / (1.0 + sqrt(1.0 + t)))
    };
    if x < 0.0 { -w } else { w }
}

#[unsafe(no_mangle)]
extern "C" fn library_acosh(x: f64) -> f64 {
    if x < 1.0 || x.is_nan() {
        return f64::NAN;
    }
    if high(x) >= 0x41b0_0000 {
        return if x == f64::INFINITY {
            x
        } else {
            library_log(x) + LN2
        };
    }
    if x == 1.0 {
        return 0.0;
    }
    if high(x) > 0x4000_0000 {
        return library_log(2.0 * x - 1.0 / (x + sqrt(x * x - 1.0)));
    }
    let t = x - 1.0;
    library_log1p(t + sqrt(2.0 * t + t * t))
}

#[unsafe(no_mangle)]
extern "C" fn library_atanh(x: f64) -> f64 {
    let absolute = fabs(x);
    if absolute > 1.0 || x.is_nan() {
        return f64::NAN;
    }
    if absolute == 1.0 {
        return x * f64::INFINITY;
    }
    if high(absolute) < 0x3e30_0000 {
        return x;
    }
    let double = absolute + absolute;
    let t = if absolute < 0.5 {
        0.5 * library_log1p(double + double * absolute / (1.0 - absolute))
    } else {
        0.5 * library_log1p(double / (1.0 - absolute))
    };
    if x < 0.0 { -t } else { t }
}

// === angles ===

/// The cosine of an angle of at most pi/4, in two parts, as fdlibm 5.3 has it.
fn small_cos(x: f64, tail: f64) -> f64 {
    const TERMS: [f64; 6] = [
        4.166_666_666_666_66e-2,
        -1.388_888_888_887_411e-3,
        2.480_158_728_947_673e-5,
        -2.755_731_435_139_066_3e-7,
        2.087_572_321_298_175e-9,
        -1.135_964_755_778_819_5e-11,
    ];
    let absolute = high(x) & 0x7fff_ffff;
    if absolute < 0x3e40_0000 {
        return 1.0;
    }
    let z = x * x;
    let rest = z * TERMS.iter().rev().fold(0.0, |sum, term| sum * z + term);
    if absolute < 0x3fd3_3333 {
        return 1.0 - (0.5 * z - (z * rest - x * tail));
    }
    let quarter = if absolute > 0x3fe9_0000 {
        0.281_25
    } else {
        f64::from_bits(u64::from((absolute - 0x0020_0000) as u32) << 32)
    };
    let half = 0.5 * z - quarter;
    (1.0 - quarter) - (half - (z * rest - x * tail))
}

/// A multiple of pi/2 is taken off: how often, modulo 4, and what is left.
fn reduced(x: f64) -> (i32, f64, f64) {
    let mut rest = [0.0; 2];
    // SAFETY: there is room for two numbers.
    let quadrant = unsafe { __rem_pio2(x, rest.as_mut_ptr()) };
    (quadrant & 3, rest[0], rest[1])
}

/// The sine of an angle of at most pi/4, in two parts if there is a tail, as fdlibm 5.3 has it.
fn small_sin(x: f64, tail: Option<f64>) -> f64 {
    const FIRST: f64 = -1.666_666_666_666_663_2e-1;
    const TERMS: [f64; 5] = [
        8.333_333_333_322_49e-3,
        -1.984_126_982_985_795e-4,
        2.755_731_370_707_006_8e-6,
        -2.505_076_025_340_686_3e-8,
        1.589_690_995_211_55e-10,
    ];
    if high(x) & 0x7fff_ffff < 0x3e40_0000 {
        return x;
    }
    let z = x * x;
    let cube = z * x;
    let rest = TERMS.iter().rev().fold(0.0, |sum, term| sum * z + term);
    match tail {
        None => x + cube * (FIRST + z * rest),
        Some(tail) => x - ((z * (0.5 * tail - cube * rest) - tail) - cube * FIRST),
    }
}

#[unsafe(no_mangle)]
extern "C" fn library_cos(x: f64) -> f64 {
    if high(x) & 0x7fff_ffff <= 0x3fe9_21fb {
        return small_cos(x, 0.0);
    }
    if !x.is_finite() {
        return f64::NAN;
    }
    match reduced(x) {
        (0, rest, tail) => small_cos(rest, tail),
        (1, rest, tail) => -small_sin(rest, Some(tail)),
        (2, rest, tail) => -small_cos(rest, tail),
        (_, rest, tail) => small_sin(rest, Some(tail)),
    }
}

#[unsafe(no_mangle)]
extern "C" fn library_sin(x: f64) -> f64 {
    if high(x) & 0x7fff_ffff <= 0x3fe9_21fb {
        return small_sin(x, None);
    }
    if !x.is_finite() {
        return f64::NAN;
    }
    match reduced(x) {
        (0, rest, tail) => small_sin(rest, Some(tail)),
        (1, rest, tail) => small_cos(rest, tail),
        (2, rest, tail) => -small_sin(rest, Some(tail)),
        (_, rest, tail) => -small_cos(rest, tail),
    }
}

#[unsafe(no_mangle)]
extern "C" fn library_atan2(y: f64, x: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    let (is_left, is_below) = (x.is_sign_negative(), y.is_sign_negative());
    let signed = |angle: f64| if is_below { -angle } else { angle };
    if x == 1.0 {
        return atan(y);
    }
    if y == 0.0 {
        return if is_left { signed(PI) } else { y };
    }
    if x == 0.0 {
        return signed(HALF_PI);
    }
    if x.is_infinite() {
        let eighths = if y.is_infinite() { PI / 4.0 } else { 0.0 };
        return signed(if !is_left {
            eighths
        } else if y.is_infinite() {
            3.0 * eighths
        } else {
            PI
        });
    }
    if y.is_infinite() {
        return signed(HALF_PI);
    }
    let larger = ((high(y) & 0x7fff_ffff) - (high(x) & 0x7fff_ffff)) >> 20;
    if larger > 60 {
        return signed(HALF_PI + 0.5 * PI_LOW);
    }
    let angle = if is_left && larger < -60 {
        0.0
    } else {
        atan(fabs(y / x))
    };
    match (is_left, is_below) {
        (false, false) => angle,
        (false, true) => -angle,
        (true, false) => PI - (angle - PI_LOW),
        (true, true) => (angle - PI_LOW) - PI,
    }
}
