//! Textures and surfaces against formulas of the CUDA C++ Programming Guide ("Texture Fetching").
#![allow(clippy::float_cmp, reason = "fetches of single texels are exact")]

use ptx_emulator::{AddressMode, Channel, DeviceProperties, Dims, FaultKind, Gpu, Sampler, Texels, Texture};

/// The width and the height of the textures.
const EXTENT: [u32; 2] = [5, 3];

/// Returns the kernel `k(texture, from, to)`, in which thread `i` reads the words `%x` and `%y` of pair `i`, runs `body`,
/// and writes the words `%a` to `%d` of group `i`.
fn kernel(body: &str) -> String {
    format!(
        ".version 7.0\n.target sm_75\n.address_size 64\n.global .texref bound;\n\
         .visible .entry k(.param .u64 t, .param .u64 from, .param .u64 to)\n{{\n\
         .reg .b64 %t, %at, %to, %i, %l; .reg .b32 %u, %x, %y, %a, %b, %c, %d; .reg .pred %p;\n\
         ld.param.u64 %t, [t]; ld.param.u64 %at, [from]; ld.param.u64 %to, [to]; mov.u32 %u, %tid.x;\n\
         mul.wide.u32 %i, %u, 8; add.u64 %at, %at, %i; ld.global.v2.b32 {{%x, %y}}, [%at];\n\
         mul.wide.u32 %i, %u, 16; add.u64 %to, %to, %i;\nmov.b32 %a, 0; mov.b32 %b, 0; mov.b32 %c, 0; mov.b32 %d, 0;\n\
         {body}\nst.global.v4.b32 [%to], {{%a, %b, %c, %d}};\nret;\n}}\n"
    )
}

/// A GPU with a texture of `extent` texels of these bytes.
struct Scene {
    gpu: Gpu,
    handle: u64,
    address: u64,
}

impl Scene {
    fn new([width, height, layers]: [u32; 3], channel: Channel, channels: u32, bytes: &[u8], sampler: Sampler) -> Self {
        let mut gpu = Gpu::new(DeviceProperties::default());
        let address = gpu.allocate(bytes.len()).unwrap();
        assert!(gpu.write(address, bytes));
        let pitch = u64::from(width * channels) * channel.bytes() as u64;
        let extent = [width, height, layers];
        let texels = Texels { address, extent, pitch, channel, channels, linear: false };
        let handle = gpu.add_texture(Texture { texels, sampler });
        Self { gpu, handle, address }
    }

    /// Runs a kernel with one thread for each pair of coordinates, and returns the four words that each thread wrote.
    fn run(&mut self, body: &str, pairs: &[[u32; 2]]) -> Result<Vec<[u32; 4]>, FaultKind> {
        let module = self.gpu.load(&kernel(body)).unwrap();
        let (bound, _) = module.variable("bound").unwrap();
        assert!(self.gpu.write(bound, &self.handle.to_le_bytes()));
        let n = pairs.len();
        let (from, to) = (self.gpu.allocate(8 * n).unwrap(), self.gpu.allocate(16 * n).unwrap());
        assert!(self.gpu.write(from, &pairs.as_flattened().iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>()));
        let params: Vec<u8> = [self.handle, from, to].iter().flat_map(|x| x.to_le_bytes()).collect();
        self.gpu.launch(&module, "k", Dims::new(1, n as u32), &params).map_err(|fault| fault.kind)?;
        let bytes = self.gpu.read(to, 16 * n).unwrap();
        let words: Vec<_> = bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
        Ok(words.chunks(4).map(|words| words.try_into().unwrap()).collect())
    }
}

/// Returns texel `i` of the textures of single-precision values.
fn texel(i: i64) -> f32 {
    (i * i) as f32 - 7.0
}

fn floats(sampler: Sampler) -> Scene {
    let bytes: Vec<u8> = (0..15).flat_map(|i| texel(i).to_le_bytes()).collect();
    Scene::new([EXTENT[0], EXTENT[1], 1], Channel::F32, 1, &bytes, sampler)
}

/// Returns coordinates around the texture, a multiple of 1/8 texel apart.
fn grid() -> Vec<[f32; 2]> {
    let axis = |i: i32| i as f32 / 8.0;
    (0..900).map(|i| [axis(i % 90 * 3 - 90), axis(i / 90 * 13 - 40)]).collect()
}

/// Returns the index of a texel along an axis of `n` texels, or `None` for the border.
fn index(mode: AddressMode, i: i64, n: i64) -> Option<i64> {
    match mode {
        AddressMode::Clamp => Some(i.max(0).min(n - 1)),
        AddressMode::Border => (i >= 0 && i < n).then_some(i),
        AddressMode::Wrap => Some((i % n + n) % n),
        AddressMode::Mirror => {
            let period = (i % (2 * n) + 2 * n) % (2 * n);
            Some(if period < n { period } else { 2 * n - 1 - period })
        }
    }
}

const MODES: [AddressMode; 4] = [AddressMode::Clamp, AddressMode::Border, AddressMode::Wrap, AddressMode::Mirror];

#[test]
fn a_fetch_reads_or_interpolates_the_texels_that_the_address_modes_choose() {
    for (mode, linear) in MODES.into_iter().flat_map(|mode| [(mode, false), (mode, true)]) {
        let normalized = matches!(mode, AddressMode::Wrap | AddressMode::Mirror);
        let border = [0.25, 0.0, 0.0, 0.0];
        let mut scene = floats(Sampler { modes: [mode; 3], linear, normalized, integers: false, border });
        let [w, h] = EXTENT.map(i64::from);
        let at = |x: i64, y: i64| match (index(mode, x, w), index(mode, y, h)) {
            (Some(x), Some(y)) => f64::from(texel(x + w * y)),
            _ => 0.25,
        };
        let grid = grid();
        for chunk in grid.chunks(900) {
            let scale = |x: f32, n: i64| if normalized { x / n as f32 } else { x };
            let pairs: Vec<_> = chunk.iter().map(|[x, y]| [scale(*x, w).to_bits(), scale(*y, h).to_bits()]).collect();
            let body = "tex.2d.v4.f32.f32 {%a, %b, %c, %d}, [%t, {%x, %y}];";
            let found = scene.run(body, &pairs).unwrap();
            for ([x, y], found) in chunk.iter().zip(found) {
                let [x, y] = [f64::from(*x), f64::from(*y)];
                let expected = if linear {
                    let (left, top) = ((x - 0.5).floor(), (y - 0.5).floor());
                    let (a, b) = (x - 0.5 - left, y - 0.5 - top);
                    let (i, j) = (left as i64, top as i64);
                    (1.0 - b) * ((1.0 - a) * at(i, j) + a * at(i + 1, j))
                        + b * ((1.0 - a) * at(i, j + 1) + a * at(i + 1, j + 1))
                } else {
                    at(x.floor() as i64, y.floor() as i64)
                };
                let value = f64::from(f32::from_bits(found[0]));
                // A normalised coordinate may round to the other side of a texel's edge or by one step of the weight.
                let edge = normalized && !linear && (x.fract() == 0.0 || y.fract() == 0.0);
                assert!(edge || (value - expected).abs() < 1.0, "{mode:?} {linear} {x} {y}: {value} {expected}");
                assert!(normalized || value as f32 == expected as f32, "{mode:?} {linear} {x} {y}: {value} {expected}");
            }
        }
    }
}

#[test]
fn integer_coordinates_and_a_bound_reference_read_single_texels() {
    let mut scene = floats(Sampler::default());
    let pairs: Vec<_> = (0..15).map(|i| [i % 5, i / 5]).collect();
    let found = scene.run("tex.2d.v4.f32.s32 {%a, %b, %c, %d}, [bound, {%x, %y}];", &pairs).unwrap();
    for (i, found) in found.into_iter().enumerate() {
        assert_eq!(found.map(f32::from_bits), [texel(i as i64), 0.0, 0.0, 1.0]);
    }
}

#[test]
fn a_gather_returns_the_four_nearest_texels_counterclockwise() {
    let mut scene = floats(Sampler::default());
    let found = scene.run("tld4.r.2d.v4.f32.f32 {%a, %b, %c, %d}, [%t, {%x, %y}];", &[[2.0f32.to_bits(); 2]]).unwrap();
    assert_eq!(found[0].map(f32::from_bits), [2 * 5 + 1, 2 * 5 + 2, 5 + 2, 5 + 1].map(texel));
}

#[test]
fn narrow_channels_are_integers_or_normalised_values() {
    let bytes: Vec<u8> = vec![0, 127, 128, 255, 1, 2, 254, 3];
    let fetch = |typ: &str| format!("tex.1d.v4.{typ}.s32 {{%a, %b, %c, %d}}, [%t, %x];");
    let sampler = Sampler { integers: true, ..Sampler::default() };
    let mut scene = Scene::new([2, 1, 1], Channel::S8, 4, &bytes, sampler);
    let found = scene.run(&fetch("s32"), &[[0, 0], [1, 0]]).unwrap();
    assert_eq!(found.map_i32(), [[0, 127, -128, -1], [1, 2, -2, 3]]);
    let mut scene = Scene::new([2, 1, 1], Channel::U8, 4, &bytes, Sampler::default());
    let found = scene.run(&fetch("f32"), &[[0, 0]]).unwrap();
    assert_eq!(found[0].map(f32::from_bits), [0.0, 127.0 / 255.0, 128.0 / 255.0, 1.0]);
    let mut scene = Scene::new([2, 1, 1], Channel::S8, 4, &bytes, Sampler::default());
    let found = scene.run(&fetch("f32"), &[[0, 0]]).unwrap();
    assert_eq!(found[0].map(f32::from_bits), [0.0, 1.0, -1.0, -1.0 / 127.0]);
}

/// A conversion of words to signed integers.
trait Signed {
    fn map_i32(self) -> Vec<[i32; 4]>;
}

impl Signed for Vec<[u32; 4]> {
    fn map_i32(self) -> Vec<[i32; 4]> {
        self.into_iter().map(|words| words.map(|word| word as i32)).collect()
    }
}

#[test]
fn layers_and_the_third_dimension_are_independent() {
    let bytes: Vec<u8> = (0u16..24).flat_map(|i| (i * 3).to_le_bytes()).collect();
    let sampler = Sampler { integers: true, ..Sampler::default() };
    let mut scene = Scene::new([4, 3, 2], Channel::U16, 1, &bytes, sampler);
    let pairs: Vec<_> = (0..24).map(|i| [i % 4, i / 4]).collect();
    let split = "div.u32 %c, %y, 3; rem.u32 %y, %y, 3; mov.b32 %d, 0;";
    for place in [
        "a2d.v4.u32.s32 {%a, %b, %c, %d}, [%t, {%c, %x, %y, %d}]",
        "3d.v4.u32.s32 {%a, %b, %c, %d}, [%t, {%x, %y, %c, %d}]",
    ] {
        let found = scene.run(&format!("{split} tex.{place};"), &pairs).unwrap();
        assert_eq!(found, (0..24).map(|i| [i * 3, 0, 0, 1]).collect::<Vec<_>>());
    }
}

/// The faces of a cube, with the direction to a point of each face that is `s` right and `t` below its middle, from the
/// table of section "Cubemap Textures". `1` and `-1` stand for constants.
const FACES: [[&str; 3]; 6] =
    [["1", "-t", "-s"], ["-1", "-t", "s"], ["s", "1", "t"], ["s", "-1", "-t"], ["s", "-t", "1"], ["-s", "-t", "-1"]];

#[test]
fn a_direction_chooses_the_face_of_a_cube_and_the_texel_on_it() {
    const SIDE: u32 = 4;
    // Two cubes, one after the other.
    let bytes: Vec<u8> = (0..12 * SIDE * SIDE).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let sampler = Sampler { normalized: true, ..Sampler::default() };
    let mut scene = Scene::new([SIDE, SIDE, 12], Channel::F32, 1, &bytes, sampler);
    // The coordinates of the texels' centres on a face, from -1 to 1, one at a time.
    let centre = |i: u32| (2 * i + 1) as f32 / SIDE as f32 - 1.0;
    let pairs: Vec<_> = (0..16).map(|i| [centre(i % SIDE).to_bits(), centre(i / SIDE).to_bits()]).collect();
    for (face, direction) in (0..).zip(FACES) {
        let component = |(axis, part): (usize, &&str)| match *part {
            "s" => format!("mul.rn.f32 %c{axis}, %x, 0f40400000;"),
            "-s" => format!("mul.rn.f32 %c{axis}, %x, 0fC0400000;"),
            "t" => format!("mul.rn.f32 %c{axis}, %y, 0f40400000;"),
            "-t" => format!("mul.rn.f32 %c{axis}, %y, 0fC0400000;"),
            "1" => format!("mov.b32 %c{axis}, 0f40400000;"),
            _ => format!("mov.b32 %c{axis}, 0fC0400000;"),
        };
        // The length of a direction, here three, has no effect.
        let components: String = direction.iter().enumerate().map(component).collect();
        for (cube, fetch) in [
            (0, "tex.cube.v4.f32.f32 {%a, %b, %c, %d}, [%t, {%c0, %c1, %c2, %c2}];"),
            (1, "mov.b32 %u, 1; tex.acube.v4.f32.f32 {%a, %b, %c, %d}, [%t, {%u, %c0, %c1, %c2}];"),
        ] {
            let found = scene.run(&format!(".reg .b32 %c<3>; {components}\n{fetch}"), &pairs).unwrap();
            for (i, found) in (0..).zip(found) {
                let expected = (16 * (6 * cube + face) + i) as f32;
                assert_eq!(f32::from_bits(found[0]), expected, "face {face} of cube {cube}, texel {i}");
            }
        }
    }
}

#[test]
fn queries_give_the_properties_of_the_object() {
    let mut scene = Scene::new([4, 3, 2], Channel::S16, 2, &[0; 96], Sampler::default());
    let body = "txq.width.b32 %a, [%t]; txq.height.b32 %b, [bound]; suq.depth.b32 %c, [%t];
                suq.channel_data_type.b32 %d, [%t];";
    assert_eq!(scene.run(body, &[[0; 2]]).unwrap(), [[4, 3, 2, 0x10d8]]);
    assert_eq!(scene.run("suq.channel_order.b32 %a, [%t];", &[[0; 2]]).unwrap()[0][0], 0x10b2);
}

#[test]
fn surfaces_store_and_load_bytes_and_treat_bounds_by_the_mode() {
    let bytes: Vec<u8> = (0u32..15).flat_map(u32::to_le_bytes).collect();
    let mut scene = Scene::new([5, 3, 1], Channel::U32, 1, &bytes, Sampler::default());
    let pairs = [[0u32, 0], [16, 2], [20, 0], [0, 3], [(-4i32) as u32, 1], [8, u32::MAX]];
    let load = |mode: &str| format!("suld.b.2d.b32.{mode} %a, [%t, {{%x, %y}}];");
    let first = |found: Vec<[u32; 4]>| found.into_iter().map(|words| words[0]).collect::<Vec<_>>();
    assert_eq!(first(scene.run(&load("zero"), &pairs).unwrap()), [0, 14, 0, 0, 0, 0]);
    assert_eq!(first(scene.run(&load("clamp"), &pairs).unwrap()), [0, 14, 4, 10, 5, 2]);
    assert_eq!(first(scene.run(&load("trap"), &pairs[..2]).unwrap()), [0, 14]);
    assert_eq!(scene.run(&load("trap"), &pairs[2..3]), Err(FaultKind::OutOfBounds));
    assert_eq!(scene.run(&load("zero"), &[[2, 0]]), Err(FaultKind::Misaligned));
    let store =
        "add.u32 %a, %x, 100; sust.b.2d.v2.b32.zero [%t, {%x, %y}], {%a, %y}; suld.b.2d.b64.zero %l, [%t, {%x, %y}];
                 mov.b64 {%c, %d}, %l;";
    let found = scene.run(store, &[[8, 1], [24, 1]]).unwrap();
    assert_eq!(found, [[108, 0, 108, 1], [124, 0, 0, 0]]);
    let row = scene.gpu.read(scene.address + 20, 20).unwrap();
    assert_eq!(row, [5u32, 6, 108, 1, 9].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>());
}

#[test]
fn a_handle_that_is_no_texture_is_a_fault() {
    let mut scene = floats(Sampler::default());
    assert!(scene.gpu.remove_texture(scene.handle) && !scene.gpu.remove_texture(scene.handle));
    let found = scene.run("tex.2d.v4.f32.s32 {%a, %b, %c, %d}, [%t, {%x, %y}];", &[[0; 2]]);
    assert_eq!(found, Err(FaultKind::OutOfBounds));
}
