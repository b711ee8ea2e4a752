//! The operands of decoded instructions that touch textures, matrices and asynchronous barriers.

use super::access::Access;
use super::fragments::Fragment;
use super::registers::Register;
use crate::ptx::syntax::Type;

/// An access to a texture or surface.
pub struct TextureAccess {
    pub operation: TextureOperation,
    pub object: TextureHandle,
    /// The registers of the coordinates, after that of the layer if there is one.
    pub coordinates: Vec<usize>,
    pub layered: bool,
    /// Whether the coordinates are a direction from the centre of a cube, whose faces are layers.
    pub cube: bool,
    /// Whether the coordinates are single-precision values.
    pub floating: bool,
    /// The type of the values.
    pub typ: Type,
    /// The registers that are read or written.
    pub values: Vec<Register>,
    /// The predicate that tells whether the texels are resident, which they always are.
    pub resident: Option<usize>,
    pub outside: OutsideMode,
}

/// The place of the handle of a texture or surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextureHandle {
    /// A register of 64 bits.
    Register(usize),
    /// A variable in global memory, at this address.
    Variable(u64),
}

/// The operation of an access to a texture or surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextureOperation {
    Fetch,
    /// The channel of this index of four texels.
    Gather(usize),
    Load,
    Store,
    Query(Query),
}

/// A property of a texture or surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    Width,
    Height,
    Depth,
    Layers,
    /// The number of levels or samples.
    One,
    Normalized,
    /// The type of the channels, as `OpenCL` numbers it.
    ChannelType,
    /// The number of channels, as `OpenCL` numbers it.
    ChannelOrder,
}

/// The treatment of surface coordinates that are out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutsideMode {
    Trap,
    Clamp,
    /// Loads give zero, and stores have no effect.
    Zero,
}

/// A load or store of a matrix.
pub struct MatrixAccess {
    /// The address, without elements.
    pub access: Access,
    pub part: MatrixPart,
    pub stores: bool,
}

/// The registers of a matrix in memory.
pub enum MatrixPart {
    /// A fragment of `wmma`. The stride between rows or columns is in a register and counts elements.
    Fragment { fragment: Fragment, stride: usize, by_columns: bool },
    /// Matrices of 8 by 8 elements of 16 bits, one for each register. Lane `8 * i + j` has the address of row `j` of matrix
    /// `i`.
    Rows { registers: Vec<usize>, transposed: bool },
}

/// The lowest bit of the rank in an address of a cluster's shared memory. The bits hold 0 for the block itself, or the
/// rank plus 1.
pub const CLUSTER_RANK: u32 = 24;

/// An asynchronous copy from global to shared memory.
pub struct CopyAsync {
    pub to: Access,
    pub from: Access,
    /// The number of bytes that are written.
    pub len: usize,
    /// The number of bytes that are read, or the predicate that makes it zero. By default, all are read.
    pub bytes: Option<Register>,
}

/// An operation on a barrier in shared memory.
pub struct AsyncBarrier {
    /// The address of the barrier, without elements.
    pub access: Access,
    pub operation: AsyncOperation,
    /// The register with a number of arrivals or bytes, or with a state or parity to wait for.
    pub operand: Register,
    pub d: Option<Register>,
}

/// The operations on a barrier in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsyncOperation {
    Initialise,
    Expect,
    Complete,
    Arrive,
    ArriveExpect,
    Drop,
    DropExpect,
    Wait,
    WaitParity,
}
