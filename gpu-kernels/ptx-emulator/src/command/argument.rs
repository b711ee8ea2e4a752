//! The arguments of a kernel as the command line gives them.

use std::path::PathBuf;

/// The type of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Unsigned(usize),
    Signed(usize),
    F32,
    F64,
}

/// The values of an array.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// One number for all.
    Fill(String),
    /// The index of each.
    Iota,
    /// Numbers from 0 to 1, or integers of any value.
    Random,
    /// Memory that is not written.
    Unset,
    /// The bytes of a file.
    File(PathBuf),
}

/// An argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// The bytes of a number.
    Number(Vec<u8>),
    /// An array in global memory, with the number of its values.
    Array(Type, usize, Values),
}

impl Type {
    fn named(name: &str) -> Result<Self, String> {
        let size = |bits: &str| ["8", "16", "32", "64"].iter().position(|known| *known == bits).map(|i| 1 << i);
        let found = match name.split_at_checked(1) {
            Some(("u" | "b", bits)) => size(bits).map(Self::Unsigned),
            Some(("s" | "i", bits)) => size(bits).map(Self::Signed),
            Some(("f", "32")) => Some(Self::F32),
            Some(("f", "64")) => Some(Self::F64),
            _ => None,
        };
        found.ok_or_else(|| format!("the type must be like u32, s64 or f32, got `{name}`"))
    }

    /// Returns the size in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::Unsigned(size) | Self::Signed(size) => size,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Returns the bytes of a number.
    fn bytes(self, text: &str) -> Result<Vec<u8>, String> {
        let invalid = || format!("`{text}` is not a number of this type");
        let fits = |value: i128, low: i128, high: i128| {
            let inside = (low..=high).contains(&value);
            inside.then(|| value.to_le_bytes()[..self.size()].to_vec()).ok_or_else(invalid)
        };
        let bits = 8 * self.size();
        match self {
            Self::Unsigned(_) => fits(integer(text).ok_or_else(invalid)?, 0, (1 << bits) - 1),
            Self::Signed(_) => fits(integer(text).ok_or_else(invalid)?, -(1 << (bits - 1)), (1 << (bits - 1)) - 1),
            Self::F32 => text.parse::<f32>().map(|value| value.to_le_bytes().to_vec()).map_err(|_| invalid()),
            Self::F64 => text.parse::<f64>().map(|value| value.to_le_bytes().to_vec()).map_err(|_| invalid()),
        }
    }

    /// Returns the number that bytes encode as a text.
    pub fn text(self, bytes: &[u8]) -> String {
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        let (bits, shift) = (u64::from_le_bytes(wide), 64 - 8 * bytes.len());
        match self {
            Self::Unsigned(_) => bits.to_string(),
            Self::Signed(_) => (((bits << shift) as i64) >> shift).to_string(),
            Self::F32 => f32::from_bits(bits as u32).to_string(),
            Self::F64 => f64::from_bits(bits).to_string(),
        }
    }
}

fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let value = match digits.strip_prefix("0x") {
        Some(digits) => i128::from(u64::from_str_radix(digits, 16).ok()?),
        None => i128::from(digits.parse::<u64>().ok()?),
    };
    Some(sign * value)
}

/// Parses up to three sizes with commas between them. The others are 1.
pub fn dimensions(text: &str) -> Result<[u32; 3], String> {
    let parsed: Result<Vec<u32>, _> = text.split(',').map(str::parse).collect();
    let parsed = parsed.ok().filter(|sizes| sizes.len() <= 3 && !sizes.contains(&0));
    let sizes = parsed.ok_or_else(|| format!("expected one to three sizes from 1, such as `16,8`, got `{text}`"))?;
    Ok(std::array::from_fn(|i| sizes.get(i).copied().unwrap_or(1)))
}

/// Parses an argument.
pub fn parse(text: &str) -> Result<Argument, String> {
    let (kind, value) = text.split_once('=').ok_or("expected TYPE=VALUE or TYPE[N]=VALUES")?;
    let Some((kind, len)) = kind.strip_suffix(']').and_then(|kind| kind.split_once('[')) else {
        return Type::named(kind)?.bytes(value).map(Argument::Number);
    };
    let kind = Type::named(kind)?;
    let len = len.parse().ok().filter(|len| *len > 0).ok_or("the length of an array must be a number from 1")?;
    let values = match value {
        "iota" => Values::Iota,
        "random" => Values::Random,
        "unset" => Values::Unset,
        _ => match value.strip_prefix('@') {
            Some(path) => Values::File(path.into()),
            None => kind.bytes(value).map(|_| Values::Fill(value.to_string()))?,
        },
    };
    Ok(Argument::Array(kind, len, values))
}

impl Values {
    /// Returns the bytes of `len` values, or `None` for memory that is not written.
    pub fn bytes(&self, kind: Type, len: usize) -> Result<Option<Vec<u8>>, String> {
        let each = |value: &dyn Fn(usize) -> String| {
            (0..len).map(|i| kind.bytes(&value(i))).collect::<Result<Vec<_>, _>>().map(|bytes| Some(bytes.concat()))
        };
        match self {
            Self::Fill(value) => each(&|_| value.clone()),
            // A narrow integer wraps.
            Self::Iota if kind.size() < 4 => {
                Ok(Some((0..len).flat_map(|i| i.to_le_bytes()[..kind.size()].to_vec()).collect()))
            }
            Self::Iota => each(&|i| i.to_string()),
            Self::Random => Ok(Some(random(kind, len))),
            Self::Unset => Ok(None),
            Self::File(path) => {
                let bytes =
                    std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
                let size = len * kind.size();
                if bytes.len() == size {
                    return Ok(Some(bytes));
                }
                Err(format!("`{}` must have {size} bytes, got {}", path.display(), bytes.len()))
            }
        }
    }
}

/// Returns the bytes of `len` numbers that are the same in every run (Steele, Lea and Flood, "Fast Splittable Pseudorandom
/// Number Generators", 2014).
fn random(kind: Type, len: usize) -> Vec<u8> {
    let mut state = 0u64;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let unit = |bits: u64| (bits >> 11) as f64 / (1u64 << 53) as f64;
    (0..len)
        .flat_map(|_| match kind {
            Type::F32 => (unit(next()) as f32).to_le_bytes().to_vec(),
            Type::F64 => unit(next()).to_le_bytes().to_vec(),
            _ => next().to_le_bytes()[..kind.size()].to_vec(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_numbers_and_arrays() {
        assert_eq!(parse("s16=-2"), Ok(Argument::Number(vec![0xfe, 0xff])));
        assert_eq!(parse("f32=1.5"), Ok(Argument::Number(vec![0, 0, 0xc0, 0x3f])));
        assert_eq!(parse("u64=0x10"), Ok(Argument::Number(vec![16, 0, 0, 0, 0, 0, 0, 0])));
        assert_eq!(parse("u8[300]=iota"), Ok(Argument::Array(Type::Unsigned(1), 300, Values::Iota)));
        let iota = Values::Iota.bytes(Type::Unsigned(1), 300).unwrap().unwrap();
        assert_eq!((iota.len(), iota[299]), (300, 43));
        assert_eq!(Values::Fill("-1".into()).bytes(Type::Signed(2), 2), Ok(Some(vec![0xff; 4])));
        assert_eq!(Type::Signed(2).text(&[0xfe, 0xff]), "-2");
    }

    #[test]
    fn an_error_says_what_is_wrong_with_an_argument() {
        for text in ["u8=256", "s8=-129", "u32=-1", "f16=1", "u32", "u32[0]=1", "f32[4]=many", "u32[x]=1"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(dimensions("4,0").is_err() && dimensions("1,2,3,4").is_err());
        assert_eq!(dimensions("4,2"), Ok([4, 2, 1]));
    }
}
