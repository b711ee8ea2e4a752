//! The formats of `printf` (C17, section 7.21.6.1), as far as CUDA's device code has them.

/// A part of a format.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Conversion(Conversion<'a>),
}

/// A conversion such as `%-8.3f`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Conversion<'a> {
    flags: &'a str,
    width: &'a str,
    precision: Option<&'a str>,
    /// Whether an integer has 64 bits.
    long: bool,
    letter: char,
}

/// Splits a format into its parts.
pub(super) fn pieces(format: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        pieces.push(Piece::Text(&rest[..at]));
        rest = &rest[at..];
        if let Some((conversion, len)) = conversion(&rest[1..]) {
            pieces.push(Piece::Conversion(conversion));
            rest = &rest[1 + len..];
        } else {
            // `%%` is a per cent sign, and so is one without a conversion.
            pieces.push(Piece::Text("%"));
            rest = rest[1..].strip_prefix('%').unwrap_or(&rest[1..]);
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// Parses a conversion after its `%`, and returns its length.
fn conversion(text: &str) -> Option<(Conversion<'_>, usize)> {
    let span = |from: usize, of: &str| text[from..].find(|c| !of.contains(c)).map(|len| from + len);
    let flags = span(0, "-+ #0")?;
    let number = |from: usize| if text[from..].starts_with('*') { Some(from + 1) } else { span(from, "0123456789") };
    let width = number(flags)?;
    let dot = text[width..].starts_with('.');
    let precision = if dot { number(width + 1)? } else { width };
    let size = span(precision, "hlLqjzt")?;
    let letter = text[size..].chars().next().filter(|letter| "diuoxXcspfFeEgGaA".contains(*letter))?;
    let conversion = Conversion {
        flags: &text[..flags],
        width: &text[flags..width],
        precision: dot.then(|| &text[width + 1..precision]),
        long: text[precision..size].contains(['l', 'L', 'q', 'j', 'z', 't']),
        letter,
    };
    Some((conversion, size + 1))
}

impl Conversion<'_> {
    /// Returns how many arguments give the width and the precision.
    pub(super) fn stars(&self) -> usize {
        usize::from(self.width == "*") + usize::from(self.precision == Some("*"))
    }

    pub(super) fn is_string(&self) -> bool {
        self.letter == 's'
    }

    /// Returns the size of the argument in bytes.
    pub(super) fn size(&self) -> u64 {
        match self.letter {
            'd' | 'i' | 'u' | 'o' | 'x' | 'X' if !self.long => 4,
            'c' => 4,
            _ => 8,
        }
    }

    /// Formats an argument, given by its bits, or by `text` for a string. `stars` has the width and the precision if
    /// arguments give them.
    pub(super) fn format(&self, stars: [i32; 2], value: u64, text: &str) -> String {
        let mut stars = stars.into_iter();
        let mut number = |text: &str| match text {
            "*" => stars.next().unwrap_or(0),
            digits => digits.parse().unwrap_or(0),
        };
        let width = number(self.width);
        let precision = self.precision.map(number).filter(|precision| *precision >= 0).map(|p| (p as usize).min(1000));
        let left = self.flags.contains('-') || width < 0;
        let width = (width.unsigned_abs() as usize).min(10_000);
        let signed = if self.long { value as i64 } else { i64::from(value as i32) };
        let unsigned = if self.long { value } else { value & 0xffff_ffff };
        let alternative = |prefix: &'static str| if self.flags.contains('#') && value != 0 { prefix } else { "" };
        let (sign, digits) = match self.letter {
            'c' => return pad("", &char::from(value as u8).to_string(), width, left, false),
            's' => {
                let cut: String = text.chars().take(precision.unwrap_or(usize::MAX)).collect();
                return pad("", &cut, width, left, false);
            }
            'p' => return pad("", &format!("0x{value:x}"), width, left, false),
            'd' | 'i' => (self.sign(signed < 0), signed.unsigned_abs().to_string()),
            'u' => ("", unsigned.to_string()),
            'o' => (alternative("0"), format!("{unsigned:o}")),
            'x' => (alternative("0x"), format!("{unsigned:x}")),
            'X' => (alternative("0X"), format!("{unsigned:X}")),
            letter => {
                let x = f64::from_bits(value);
                let digits = float(letter, x.abs(), precision.unwrap_or(6), self.flags.contains('#'));
                let zeros = self.flags.contains('0') && x.is_finite();
                return pad(self.sign(x.is_sign_negative()), &digits, width, left, zeros);
            }
        };
        let digits = format!("{digits:0>width$}", width = precision.unwrap_or(1));
        pad(sign, &digits, width, left, self.flags.contains('0') && precision.is_none())
    }

    fn sign(&self, negative: bool) -> &'static str {
        match negative {
            true => "-",
            false if self.flags.contains('+') => "+",
            false if self.flags.contains(' ') => " ",
            false => "",
        }
    }
}

/// Pads a number to `width` characters, with spaces on one side or with zeros after the sign.
fn pad(sign: &str, digits: &str, width: usize, left: bool, zeros: bool) -> String {
    let fill = width.saturating_sub(sign.len() + digits.chars().count());
    match (left, zeros) {
        (true, _) => format!("{sign}{digits}{}", " ".repeat(fill)),
        (false, true) => format!("{sign}{}{digits}", "0".repeat(fill)),
        (false, false) => format!("{}{sign}{digits}", " ".repeat(fill)),
    }
}

/// Formats a value that is not negative.
fn float(letter: char, x: f64, precision: usize, keeps_zeros: bool) -> String {
    let text = match letter.to_ascii_lowercase() {
        _ if !x.is_finite() => if x.is_nan() { "nan" } else { "inf" }.to_string(),
        'f' => format!("{x:.precision$}"),
        'e' => exponential(x, precision),
        'g' => {
            let significant = precision.max(1);
            let exponent =
                format!("{x:.*e}", significant - 1).split_once('e').map_or(0, |(_, e)| e.parse().unwrap_or(0));
            let fixed = (-4..significant as i32).contains(&exponent);
            let text = if fixed {
                format!("{x:.*}", (significant as i32 - 1 - exponent) as usize)
            } else {
                exponential(x, significant - 1)
            };
            let (mantissa, end) = text.split_once('e').map_or((text.as_str(), ""), |(mantissa, e)| (mantissa, e));
            let short = mantissa.trim_end_matches('0').trim_end_matches('.');
            let mantissa = if keeps_zeros || !mantissa.contains('.') { mantissa } else { short };
            if end.is_empty() { mantissa.to_string() } else { format!("{mantissa}e{end}") }
        }
        _ => hexadecimal(x),
    };
    if letter.is_ascii_uppercase() { text.to_ascii_uppercase() } else { text }
}

/// Formats a value like `1.5e+02`, with at least two digits in the exponent.
fn exponential(x: f64, precision: usize) -> String {
    let text = format!("{x:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Formats a value like `0x1.8p+1`.
fn hexadecimal(x: f64) -> String {
    let (field, fraction) = ((x.to_bits() >> 52) as i32, x.to_bits() & ((1 << 52) - 1));
    let digits = format!("{fraction:013x}");
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    let (first, exponent) = match (field, fraction) {
        (0, 0) => (0, 0),
        (0, _) => (0, -1022),
        (field, _) => (1, field - 1023),
    };
    format!("0x{first}{point}{digits}p{exponent:+}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(format: &str, value: u64) -> String {
        let piece = |piece| match piece {
            Piece::Text(text) => text.to_string(),
            Piece::Conversion(conversion) => conversion.format([7, 2], value, "text"),
        };
        pieces(format).into_iter().map(piece).collect()
    }

    /// The expected texts are those of glibc.
    #[test]
    fn conversions_format_as_c_does() {
        for (text, value, expected) in [
            ("a%db", -5i64 as u64, "a-5b"),
            ("%5d|%-5d|%05d|%+d", 42, "   42|42   |00042|+42"),
            ("%.3d %u %ld", u64::from(u32::MAX), "-001 4294967295 4294967295"),
            ("%x %#X %o", 255, "ff 0XFF 377"),
            ("100%% %c%s%-6s|%.2s", 65, "100% Atexttext  |te"),
            ("%*.*f", 3.15625f64.to_bits(), "   3.16"),
            ("%f %.0f %e %10.2e", 1234.5f64.to_bits(), "1234.500000 1234 1.234500e+03   1.23e+03"),
            ("%g %g", 1e-5f64.to_bits(), "1e-05 1e-05"),
            ("%g %G %#g", 0.5f64.to_bits(), "0.5 0.5 0.500000"),
            ("%g", 1e20f64.to_bits(), "1e+20"),
            ("%g|%08.3f", (-2.5f64).to_bits(), "-2.5|-002.500"),
            ("%a", 3f64.to_bits(), "0x1.8p+1"),
            ("%f %E", f64::INFINITY.to_bits(), "inf INF"),
            ("%p %lld", 0x10, "0x10 16"),
            ("50% off", 0, "500ff"),
        ] {
            assert_eq!(format(text, value), expected, "{text}");
        }
    }
}
