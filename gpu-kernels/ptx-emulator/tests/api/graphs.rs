//! Graphs, made by capture and node by node.

use std::ptr::{null, null_mut};

use crate::add_and_words;
use crate::driver::Driver;

/// Launches an executable graph and waits for it.
fn run(driver: &Driver, exec: usize) {
    assert_eq!(call!(driver, "cuGraphLaunch", exec => usize, 0 => usize), 0);
    assert_eq!(driver.synchronize(), 0);
}

fn instantiate(driver: &Driver, graph: usize) -> usize {
    let mut exec = 0usize;
    assert_eq!(call!(driver, "cuGraphInstantiateWithFlags", &raw mut exec => *mut usize, graph => usize, 0 => u64), 0);
    exec
}

/// Captures a launch that adds `n`, and a fill of the second word.
fn capture(driver: &Driver, add: usize, words: u64, n: u64) -> usize {
    let (mut stream, mut graph) = (0usize, 0usize);
    assert_eq!(call!(driver, "cuStreamCreate", &raw mut stream => *mut usize, 0 => u32), 0);
    assert_eq!(call!(driver, "cuStreamBeginCapture_v2", stream => usize, 0 => i32), 0);
    let (mut words, mut n) = (words, n);
    let mut params = [(&raw mut words).cast::<u8>(), (&raw mut n).cast()];
    let launched = call!(
        driver, "cuLaunchKernel", add => usize, 1 => u32, 1 => u32, 1 => u32, 32 => u32, 1 => u32, 1 => u32, 0 => u32,
        stream => usize, params.as_mut_ptr() => *mut *mut u8, null_mut() => *mut *mut u8
    );
    assert_eq!(launched, 0);
    assert_eq!(call!(driver, "cuMemsetD8Async", words + 8 => u64, 1 => u8, 4 => usize, stream => usize), 0);
    assert_eq!(call!(driver, "cuStreamEndCapture", stream => usize, &raw mut graph => *mut usize), 0);
    assert_eq!(call!(driver, "cuStreamDestroy_v2", stream => usize), 0);
    graph
}

#[test]
fn a_captured_graph_runs_when_it_is_launched_and_can_be_updated() {
    let driver = Driver::emulated();
    let (add, words) = add_and_words(&driver);
    let graph = capture(&driver, add, words, 2);
    let exec = instantiate(&driver, graph);
    assert_eq!(driver.read(words, 2), Ok(vec![0, 0]));
    run(&driver, exec);
    run(&driver, exec);
    assert_eq!(driver.read(words, 2), Ok(vec![4, 0x0101_0101]));
    let mut info = [0u64; 3];
    let other = capture(&driver, add, words, 30);
    assert_eq!(call!(driver, "cuGraphExecUpdate_v2", exec => usize, other => usize, info.as_mut_ptr() => *mut u64), 0);
    run(&driver, exec);
    assert_eq!(driver.read(words, 1), Ok(vec![34]));
    let mut node = 0usize;
    let added = call!(
        driver, "cuGraphAddEmptyNode", &raw mut node => *mut usize, other => usize, null() => *const usize, 0 => usize
    );
    assert_eq!(added, 0);
    let updated = call!(driver, "cuGraphExecUpdate_v2", exec => usize, other => usize, info.as_mut_ptr() => *mut u64);
    assert_eq!((updated, info[0] as i32, info[1]), (910, 2, node as u64));
}

#[test]
fn nodes_run_after_those_that_they_depend_on() {
    let driver = Driver::emulated();
    let (_, words) = add_and_words(&driver);
    let (mut graph, mut nodes) = (0usize, [0usize; 3]);
    assert_eq!(call!(driver, "cuGraphCreate", &raw mut graph => *mut usize, 0 => u32), 0);
    // Each `CUDA_MEMSET_NODE_PARAMS` fills the first word with bytes of its index.
    for (i, node) in nodes.iter_mut().enumerate() {
        let params = [words, 0, (i as u64 + 1) | (1 << 32), 8, 1];
        let added = call!(
            driver, "cuGraphAddMemsetNode", node => *mut usize, graph => usize, null() => *const usize, 0 => usize,
            params.as_ptr() => *const u64, 0 => usize
        );
        assert_eq!(added, 0);
    }
    // The second node comes last.
    let (from, to) = ([nodes[2], nodes[0]], [nodes[1], nodes[2]]);
    let connect = || {
        call!(
            driver, "cuGraphAddDependencies", graph => usize, from.as_ptr() => *const usize, to.as_ptr() => *const usize,
            2 => usize
        )
    };
    assert_eq!(connect(), 0);
    run(&driver, instantiate(&driver, graph));
    assert_eq!(driver.read(words, 1), Ok(vec![0x0202_0202_0202_0202]));
    assert_eq!(connect(), 1, "the edges are there");
    let (from, to) = ([nodes[1]], [nodes[0]]);
    let cycle = call!(
        driver, "cuGraphAddDependencies", graph => usize, from.as_ptr() => *const usize, to.as_ptr() => *const usize,
        1 => usize
    );
    let mut exec = 0usize;
    let made = call!(driver, "cuGraphInstantiateWithFlags", &raw mut exec => *mut usize, graph => usize, 0 => u64);
    assert_eq!((cycle, made), (0, 1), "a cycle is found");
}
