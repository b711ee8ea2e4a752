//! The coverage of the instructions of the PTX ISA, by the sections of its version 8.

use super::decode::tables;
use super::forms::Form;
#[cfg(test)]
use super::forms::Table;

/// An instruction of the PTX ISA, with what runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// The title of the section in chapter 9.7.
    pub section: &'static str,
    /// The instruction, with the modifiers that make it one of its own, as in `bar.warp.sync`.
    pub instruction: &'static str,
    /// The forms that run, in the notation of the ISA's syntax sections. The list is empty if the instruction is refused.
    pub forms: Vec<String>,
    /// The part that is refused, or an empty text.
    pub missing: &'static str,
}

/// The instruction without a form, because it becomes several actions.
const CALL: &str = "call{.uni} (results), function, (arguments), prototype";

/// The sections, with their instructions that run as a whole.
const WHOLE: [(&str, &str); 13] = [
    (
        "Integer Arithmetic",
        "add sub mul mad mul24 mad24 sad div rem abs neg min max popc clz bfind fns brev bfe bfi bmsk dp4a dp2a szext",
    ),
    ("Extended-Precision Arithmetic", "add.cc addc sub.cc subc mad.lo.cc mad.hi.cc madc"),
    ("Floating-Point", "testp copysign rcp sqrt rsqrt sin cos lg2 ex2 tanh"),
    ("Comparison and Selection", "set setp selp slct"),
    ("Logic and Shift", "and or xor not cnot lop3 shf shl shr"),
    (
        "Data Movement and Conversion",
        "shfl.sync prmt st prefetch prefetchu applypriority discard createpolicy isspacep cvta cvt.pack mapa getctarank",
    ),
    (
        "Asynchronous Copy",
        "cp.async.ca cp.async.commit_group cp.async.wait_group cp.async.wait_all cp.async.mbarrier.arrive \
         cp.async.bulk.commit_group cp.async.bulk.wait_group cp.async.bulk.prefetch",
    ),
    ("Texture and Surface", "txq suld suq"),
    ("Control Flow", "bra brx ret exit call"),
    (
        "Parallel Synchronization and Communication",
        "bar bar.warp.sync barrier barrier.cluster membar fence vote match activemask redux griddepcontrol elect \
         mbarrier.init mbarrier.inval mbarrier.expect_tx mbarrier.complete_tx mbarrier.arrive mbarrier.arrive_drop \
         mbarrier.test_wait mbarrier.try_wait mbarrier.pending_count",
    ),
    ("Warp-Level Matrix", "wmma.load wmma.store wmma.mma ldmatrix stmatrix movmatrix"),
    (
        "Video",
        "vadd vsub vabsdiff vmin vmax vshl vshr vset vadd2 vsub2 vavrg2 vabsdiff2 vmin2 vmax2 vset2 vadd4 vsub4 vavrg4 \
         vabsdiff4 vmin4 vmax4 vset4",
    ),
    ("Miscellaneous", "brkpt nanosleep pmevent trap setmaxnreg"),
];

/// The instructions of which a part is refused, each with its section and that part.
const PARTS: [(&str, &str, &str); 12] = [
    ("Floating-Point", "fma", "`.oob` of `f16` and `bf16`"),
    ("Data Movement and Conversion", "mov", "vectors of special registers, and parts of eight bits"),
    ("Data Movement and Conversion", "ld", "vectors of more than 16 bytes"),
    ("Data Movement and Conversion", "ldu", "vectors of more than 16 bytes"),
    ("Data Movement and Conversion", "cvt", "stochastic rounding and formats of 4 and 6 bits"),
    ("Texture and Surface", "tex", "separate samplers, mipmaps and multisampling"),
    ("Texture and Surface", "tld4", "cube maps and separate samplers"),
    ("Texture and Surface", "sust", "formatted stores (`sust.p`)"),
    ("Parallel Synchronization and Communication", "atom", "`.b128`, and minima and maxima of vectors"),
    ("Parallel Synchronization and Communication", "red", "minima and maxima of vectors"),
    ("Video", "vmad", "negated operands"),
    ("Warp-Level Matrix", "mma.sync", "`m8n8k4` of `f16`"),
];

/// The instructions that are refused, by section.
const REFUSED: [(&str, &str); 7] = [
    ("Data Movement and Conversion", "st.async red.async multimem"),
    (
        "Asynchronous Copy",
        "cp.async.bulk.shared::cluster cp.async.bulk.global cp.async.bulk.tensor cp.reduce.async.bulk tensormap.replace",
    ),
    ("Texture and Surface", "istypep sured"),
    ("Parallel Synchronization and Communication", "tensormap.cp_fenceproxy clusterlaunchcontrol"),
    ("Warp-Level Matrix", "mma.sp"),
    ("Asynchronous Warpgroup-Level Matrix", "wgmma"),
    ("Stack Manipulation", "stacksave stackrestore alloca"),
];

/// Returns the coverage of each instruction of the PTX ISA up to compute capability 9.0, by section.
pub fn coverage() -> Vec<Coverage> {
    let mut rows = Vec::new();
    for (section, instructions) in WHOLE {
        rows.extend(instructions.split_whitespace().map(|instruction| row(section, instruction, "")));
        let parts = PARTS.iter().filter(|(of, _, _)| *of == section);
        rows.extend(parts.map(|(_, instruction, missing)| row(section, instruction, missing)));
    }
    for (section, instructions) in REFUSED {
        rows.extend(instructions.split_whitespace().map(|instruction| row(section, instruction, "the instruction")));
    }
    rows.sort_by_key(|row| WHOLE.iter().position(|(section, _)| *section == row.section).unwrap_or(WHOLE.len()));
    rows
}

fn row(section: &'static str, instruction: &'static str, missing: &'static str) -> Coverage {
    let (opcode, modifiers) = instruction.split_once('.').unwrap_or((instruction, ""));
    let modifiers: Vec<_> = modifiers.split('.').filter(|modifier| !modifier.is_empty()).collect();
    let forms = tables().into_iter().flat_map(|table| table.forms(opcode)).filter(|form| form.begins_with(&modifiers));
    let mut forms: Vec<_> = forms.map(|form| format!("{opcode}{}", Form::pattern(form))).collect();
    if instruction == "call" {
        forms.push(CALL.into());
    }
    Coverage { section, instruction, forms, missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_has_forms_exactly_if_the_list_says_that_it_runs() {
        for Coverage { instruction, forms, missing, .. } in coverage() {
            assert_eq!(forms.is_empty(), missing == "the instruction", "{instruction}: {forms:?}");
        }
    }

    #[test]
    fn the_list_has_every_form_that_the_decoder_accepts() {
        let rows = coverage();
        let listed: Vec<_> = rows.iter().flat_map(|row| &row.forms).collect();
        let of = |table: &'static Table| {
            let opcodes = table.opcodes();
            opcodes.flat_map(|opcode| table.forms(opcode).map(move |form| format!("{opcode}{}", form.pattern())))
        };
        let unlisted: Vec<_> = tables().into_iter().flat_map(of).filter(|form| !listed.contains(&form)).collect();
        assert!(unlisted.is_empty(), "{unlisted:#?}");
    }
}
