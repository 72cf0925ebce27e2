//! Reduces a failing history to a minimal one that fails in the same way.

use crate::{
    fault::{Fault, Faults},
    history::run,
    ledger::Check,
    plan::{DepthPlan, NodePlan, Plan, Style, Tags},
    spot::Spot,
};

/// The maximum number of histories to try.
const MOST_TRIES: u32 = 600;

struct Shrinker {
    check: Check,
    plan: Plan,
    tries: u32,
}

/// Removes processes, wishes, events, crashes and faults while the same check still fails.
#[must_use]
pub fn shrink(plan: &Plan, check: Check) -> Plan {
    let mut shrinker = Shrinker {
        check,
        plan: plan.clone(),
        tries: 0,
    };
    // Turns drawn faults into a list, from which faults can be removed.
    let listed = Plan {
        faults: Faults::Listed(run(plan, false).faults),
        ..plan.clone()
    };
    shrinker.accept(listed);
    loop {
        let before = shrinker.plan.clone();
        shrinker.leave_out_processes();
        shrinker.leave_out_wishes();
        shrinker.leave_out_faults();
        shrinker.leave_out_events();
        shrinker.simplify();
        if shrinker.plan == before || shrinker.tries >= MOST_TRIES {
            return shrinker.plan;
        }
    }
}

impl Shrinker {
    /// Adopts a plan if it fails too.
    fn accept(&mut self, plan: Plan) -> bool {
        if plan == self.plan || self.tries >= MOST_TRIES {
            return false;
        }
        self.tries += 1;
        let fails = run(&plan, false)
            .violations
            .iter()
            .any(|violation| violation.check == self.check);
        if fails {
            self.plan = plan;
        }
        fails
    }

    fn change(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut plan = self.plan.clone();
        change(&mut plan);
        self.accept(plan)
    }

    fn leave_out_processes(&mut self) {
        for number in self
            .plan
            .processes
            .iter()
            .map(|process| process.number)
            .collect::<Vec<_>>()
        {
            self.change(|plan| {
                plan.processes.retain(|process| process.number != number);
                plan.wishes.retain(|wish| wish.process != number);
                plan.crashes.retain(|crash| crash.process != number);
            });
        }
    }

    fn leave_out_wishes(&mut self) {
        for number in self
            .plan
            .wishes
            .iter()
            .map(|wish| wish.number)
            .collect::<Vec<_>>()
        {
            self.change(|plan| plan.wishes.retain(|wish| wish.number != number));
        }
    }

    fn leave_out_events(&mut self) {
        for index in (0..self.plan.events.len()).rev() {
            self.change(|plan| {
                plan.events.remove(index);
            });
        }
        for index in (0..self.plan.crashes.len()).rev() {
            self.change(|plan| {
                plan.crashes.remove(index);
            });
        }
    }

    fn listed(&self) -> Vec<(Spot, Fault)> {
        match &self.plan.faults {
            Faults::Listed(listed) => listed.clone(),
            Faults::Drawn(_) => Vec::new(),
        }
    }

    /// Removes faults in chunks, starting with large ones.
    fn leave_out_faults(&mut self) {
        if matches!(self.plan.faults, Faults::Drawn(_)) {
            return;
        }
        let mut size = self.listed().len();
        while size > 0 {
            let mut start = 0;
            while start < self.listed().len() {
                let mut left = self.listed();
                let end = (start + size).min(left.len());
                left.drain(start..end);
                if !self.change(|plan| plan.faults = Faults::Listed(left)) {
                    start += size;
                }
            }
            size /= 2;
        }
    }

    /// Sets parameters to their most ordinary values.
    fn simplify(&mut self) {
        for index in 0..self.plan.nodes.len() {
            self.change(|plan| {
                plan.nodes[index] = NodePlan {
                    lag: 0,
                    stays: false,
                    tags: Tags::Known,
                    log_blocks: None,
                    words: 0,
                    state: None,
                    unindexed: 0,
                    has_fee_history: true,
                    sees_pool: true,
                };
            });
            self.change(|plan| plan.nodes[index].lag = 0);
            self.change(|plan| plan.nodes[index].log_blocks = None);
            self.change(|plan| plan.nodes[index].unindexed = 0);
        }
        for index in 0..self.plan.bundlers.len() {
            self.change(|plan| plan.bundlers[index].lag = 0);
            self.change(|plan| plan.bundlers[index].interval = 500);
        }
        for index in 0..self.plan.stores.len() {
            self.change(|plan| plan.stores[index].latency = 0);
        }
        for index in 0..self.plan.processes.len() {
            self.change(|plan| plan.processes[index].clock = 0);
            self.change(|plan| plan.processes[index].is_sponsored = false);
            self.change(|plan| plan.processes[index].resumes = false);
            self.change(|plan| plan.processes[index].watches = false);
            self.change(|plan| plan.processes[index].start = 0);
        }
        for index in 0..self.plan.wishes.len() {
            self.change(|plan| plan.wishes[index].depth = DepthPlan::Latest);
            self.change(|plan| plan.wishes[index].style = Style::Await);
            self.change(|plan| plan.wishes[index].is_named = false);
            self.change(|plan| plan.wishes[index].at = 0);
        }
        if let Some(node) = self.plan.nodes.first().copied() {
            self.change(|plan| {
                plan.nodes = vec![node];
                plan.processes.iter_mut().for_each(|process| process.node = 0);
            });
        }
    }
}
