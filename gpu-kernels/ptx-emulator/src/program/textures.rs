//! Texture and surface instructions (PTX ISA, sections 9.7.10 and 9.7.11), without multisampling.

use super::decoder::{Decoded, Decoder};
use super::forms::{Table, alternatives};
use super::instruction::Action;
use super::memory::wide_enough;
use super::names::Meaning;
use super::operations::{OutsideMode, Query, TextureAccess, TextureHandle, TextureOperation};
use super::registers::Register;
use crate::ptx::syntax::{Operand, Space, Type};

/// The number of coordinates of each geometry, and whether the index of a layer stands before them.
const GEOMETRIES: [(&str, (usize, bool)); 7] = [
    ("1d", (1, false)),
    ("2d", (2, false)),
    ("3d", (3, false)),
    ("cube", (3, false)),
    ("a1d", (1, true)),
    ("a2d", (2, true)),
    ("acube", (3, true)),
];

/// The channels that `tld4` gathers.
const CHANNELS: [(&str, usize); 4] = [("r", 0), ("g", 1), ("b", 2), ("a", 3)];

/// The treatment of surface coordinates that are out of bounds.
const MODES: [(&str, OutsideMode); 3] =
    [("trap", OutsideMode::Trap), ("clamp", OutsideMode::Clamp), ("zero", OutsideMode::Zero)];

const QUERIES: [(&str, Query); 9] = [
    ("width", Query::Width),
    ("height", Query::Height),
    ("depth", Query::Depth),
    ("array_size", Query::Layers),
    ("num_mipmap_levels", Query::One),
    ("num_samples", Query::One),
    ("normalized_coords", Query::Normalized),
    ("channel_data_type", Query::ChannelType),
    ("channel_order", Query::ChannelOrder),
];

/// The number of elements of a vector.
const VECTORS: [(&str, usize); 2] = [("v2", 2), ("v4", 4)];

/// Adds the forms of texture and surface instructions.
pub(super) fn forms(table: &mut Table) {
    let (geometries, modes) = (alternatives(&GEOMETRIES), alternatives(&MODES));
    // Only floating-point coordinates name a point of a cube, and no coordinates of a surface do.
    let planes = "1d|2d|3d|a1d|a2d";
    let types = "u32|s32|f32|f16x2";
    table.add(&format!("tex.base|level?.{planes}.v2|v4.{types}.s32"), |i| texture(i, TextureOperation::Fetch));
    table.add(&format!("tex.base|level?.{geometries}.v2|v4.{types}.f32"), |i| texture(i, TextureOperation::Fetch));
    table.add(&format!("tex.grad.{geometries}.v2|v4.{types}.f32"), |i| texture(i, TextureOperation::Fetch));
    table.add(&format!("tld4.{}.2d|a2d.v4.{types}.f32", alternatives(&CHANNELS)), |i| {
        let channel = i.one_of(&CHANNELS).expect("the form has a channel");
        texture(i, TextureOperation::Gather(channel))
    });
    for opcode in ["txq", "txq.level", "suq"] {
        table.add(&format!("{opcode}.{}.b32", alternatives(&QUERIES)), query);
    }
    let surface = format!("{planes}.ca|cg|cs|cv|wb|wt?.v2|v4?.b8|b16|b32|b64.{modes}");
    table.add(&format!("suld.b.{surface}"), |i| surface_access(i, TextureOperation::Load));
    table.add(&format!("sust.b.{surface}"), |i| surface_access(i, TextureOperation::Store));
}

/// Returns an access of the object and the coordinates in `[object, {x, y, ..}]`.
fn access(i: &mut Decoder, place: &Operand, operation: TextureOperation) -> Decoded<TextureAccess> {
    let (object, coordinates) = match place {
        Operand::List(list) => match &list[..] {
            [object, Operand::Vector(coordinates)] => (object, &coordinates[..]),
            [object, coordinate] => (object, std::slice::from_ref(coordinate)),
            _ => return Err("a separate sampler is not of the subset".into()),
        },
        Operand::Address(object, 0) => (&**object, &[][..]),
        _ => return Err("expected a texture or surface in brackets".into()),
    };
    let object = match object {
        Operand::Name(name) => match i.names.meaning(name) {
            Some(Meaning::Address(Space::Global, address)) => TextureHandle::Variable(address),
            _ => TextureHandle::Register(i.source(object, 64)?),
        },
        _ => return Err("expected a register or a variable with the texture or surface".into()),
    };
    let (dimensions, layered) = i.one_of(&GEOMETRIES).unwrap_or((0, false));
    let count = dimensions + usize::from(layered);
    if coordinates.len() < count {
        return Err(format!("expected {count} coordinates, found {}", coordinates.len()));
    }
    let mut slots = Vec::new();
    for coordinate in &coordinates[..count] {
        slots.push(i.source(coordinate, 32)?);
    }
    Ok(TextureAccess {
        operation,
        object,
        coordinates: slots,
        layered,
        cube: i.has("cube") || i.has("acube"),
        floating: false,
        typ: i.typ(),
        values: Vec::new(),
        resident: None,
        outside: i.one_of(&MODES).unwrap_or(OutsideMode::Trap),
    })
}

/// Decodes `tex.geom.v4.dtype.ctype d{|p}, [a, c]` and `tld4`. The operands after the coordinates choose a level of detail,
/// and the textures here have only one.
fn texture(i: &mut Decoder, operation: TextureOperation) -> Decoded {
    let [d, place, ..] = i.operands else { return Err("expected a destination and a texture".into()) };
    let mut access = access(i, place, operation)?;
    let types = i.types();
    access.floating = types.last() == Some(&Type::F(32));
    access.typ = types[0];
    let d = match d {
        Operand::Pair(parts) => {
            access.resident = Some(i.dest(&parts[1], 1)?);
            &parts[0]
        }
        d => d,
    };
    let count = i.one_of(&VECTORS).unwrap_or(1);
    let Operand::Vector(parts) = d else { return Err("expected a vector for the result".into()) };
    if parts.len() != count || (count == 2) != (access.typ == Type::F16x2) {
        return Err(format!("{} registers of `.{}` are not of the subset", parts.len(), access.typ));
    }
    for part in parts {
        access.values.push(Register::B32(i.dest(part, 32)?));
    }
    Ok(Action::Texture(Box::new(access)))
}

/// Decodes `txq.query.b32 d, [a]{, level}` and `suq.query.b32 d, [a]`.
fn query(i: &mut Decoder) -> Decoded {
    let query = i.one_of(&QUERIES).expect("the form has a query");
    let [d, place, ..] = i.operands else { return Err("expected a destination and a texture".into()) };
    let mut access = access(i, place, TextureOperation::Query(query))?;
    access.values.push(Register::B32(i.dest(d, 32)?));
    Ok(Action::Texture(Box::new(access)))
}

/// Decodes `suld.b d, [a, c]` and `sust.b [a, c], d`.
fn surface_access(i: &mut Decoder, operation: TextureOperation) -> Decoded {
    let loads = operation == TextureOperation::Load;
    let (place, value) = match i.operands {
        [d, place] if loads => (place, d),
        [place, value] => (place, value),
        operands => return Err(format!("expected 2 operands, found {}", operands.len())),
    };
    let mut access = access(i, place, operation)?;
    let (count, typ) = (i.one_of(&VECTORS).unwrap_or(1), i.typ());
    let parts = match value {
        Operand::Vector(parts) => &parts[..],
        value => std::slice::from_ref(value),
    };
    if parts.len() != count {
        return Err(format!("expected {count} registers, found {}", parts.len()));
    }
    if typ.bytes() as usize * count > 16 {
        return Err(format!("expected at most 16 bytes, found {count} elements of `.{typ}`"));
    }
    for part in parts {
        let register = if loads { i.any_dest(part, typ.bits())? } else { i.any_source(part, typ.bits())? };
        access.values.push(wide_enough(register, typ)?);
    }
    Ok(Action::Texture(Box::new(access)))
}
