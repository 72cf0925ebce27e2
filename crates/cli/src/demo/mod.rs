//! A session key's whole life, step by step, and the return of the loan.

mod chain;
mod funds;
mod story;

use crate::{
    amount::{parse_amount, show_ether, show_gas_units},
    deploy::with_option,
    endpoint::TimeLimit,
    failure::{Ended, Exit, Failure, interrupted, unless_interrupted},
    report::{Report, print_note},
    transactions::Transactions,
};
use chain::Chain;
use clap::Args;
use eyre::{Result, WrapErr as _, ensure};
use funds::{Costs, default_max_cost, get_back, give_back, remaining};
use serde_json::json;
use session_key_client::{
    SmartAccount,
    alloy::{
        eips::BlockId,
        primitives::{Address, U256},
    },
    deployment::{
        Created, Deployer, DeploymentParameters, DeploymentPlan, Keeper, KeeperError, SignedCreation, Survey,
    },
    operation::Bounds,
    permissions::parse_address,
};
use session_key_testkit::{DEPLOYMENT_PROXY, PlannedContract, Stack};
use std::io::{IsTerminal as _, stderr, stdin};
use story::Story;

/// The name of the test token's contract.
const TOKEN: &str = "TestToken";

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// JSON-RPC URL of a node to run on. The funder's private key is read from SESSION_KEY_FUNDER.
    #[arg(long, value_name = "URL", requires = "chain_id")]
    rpc_url: Option<String>,

    /// The intended chain: a node on another chain is an error.
    #[arg(long, value_name = "ID", requires = "rpc_url", value_parser = clap::value_parser!(u64).range(1..))]
    chain_id: Option<u64>,

    /// Spend without asking. Required without a terminal, with --json, and on chains not known to be test
    /// chains.
    #[arg(long)]
    yes: bool,

    /// The maximum for fees, with its unit: `3 ETH`, `500 gwei` [default: 0.5 ETH, or 500 of a low-value
    /// coin].
    #[arg(long, value_name = "AMOUNT", value_parser = parse_amount)]
    max_cost: Option<U256>,

    /// Only recover what an earlier failed run left in this account.
    #[arg(long, value_name = "ACCOUNT", requires = "rpc_url", value_parser = parse_address)]
    give_back: Option<Address>,

    #[command(flatten)]
    time_limit: TimeLimit,

    /// Print one JSON document at the end instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

impl DemoArguments {
    async fn chain(&self) -> Result<Chain> {
        match (&self.rpc_url, self.chain_id) {
            (Some(url), Some(chain_id)) => Chain::of_node(url, chain_id, self.time_limit).await,
            _ => Chain::simulated(),
        }
    }

    /// Checks that spending is confirmed.
    fn consent(&self, chain: &Chain) -> Result<()> {
        if self.yes || chain.is_simulated() {
            return Ok(());
        }
        ensure!(
            chain.is_for_tests(),
            "chain {} is not a known test chain, so nothing was sent: add --yes to spend there",
            chain.chain_id
        );
        ensure!(
            !self.json && stdin().is_terminal() && stderr().is_terminal(),
            "there is no terminal to ask on, so nothing was sent: add --yes to spend"
        );
        Ok(())
    }

    fn bounds(&self, chain_id: u64) -> Bounds {
        Bounds {
            max_cost: self.max_cost.unwrap_or_else(|| default_max_cost(chain_id)),
            ..Bounds::on_chain(chain_id)
        }
    }
}

/// A demonstration ready to begin.
struct Stage {
    chain: Chain,
    bounds: Bounds,
    deployer: Deployer,
    survey: Survey,
    token: PlannedContract,
    has_token: bool,
    costs: Costs,
    /// The funder's balance at the start.
    balance: U256,
}

/// Runs the demonstration, or recovers what an earlier one left.
pub(crate) async fn run(arguments: &DemoArguments, report: &mut Report) -> Ended {
    for name in [
        "chainId",
        "funder",
        "account",
        "maxFeesWei",
        "lentWei",
        "givenBackWei",
        "spentWei",
    ] {
        report.data(name, json!(null));
    }
    if let Some(account) = arguments.give_back {
        return get_back_only(arguments, account, report).await;
    }
    let stage = match unless_interrupted(false, arguments.time_limit.all(prepare(arguments, report))).await {
        Ok(stage) => stage,
        Err(error) => return Ended::NotBegun(error),
    };
    perform(&stage, report).await
}

/// Runs all checks, and shows the costs. Sends nothing.
async fn prepare(arguments: &DemoArguments, report: &mut Report) -> Result<Stage> {
    let chain = arguments.chain().await?;
    let funder = chain.purse.address();
    let bounds = arguments.bounds(chain.chain_id);
    report.section("The chain");
    report.fact("Chain", &chain.description);
    report.fact("Pays for everything", funder.to_string());
    report.data("chainId", chain.chain_id);
    report.data("funder", funder.to_string());

    let plan = DeploymentPlan::new(&DeploymentParameters::default(), session_key_entry_point::codes())?
        .for_v07_accounts();
    let deployer = Deployer::new(chain.provider.clone(), chain.chain_id, plan).with_bounds(bounds);
    let survey = deployer.survey(None).await.map_err(with_option)?;
    let (_, planned) = Stack::plan(funder);
    let token = planned.into_iter().find(|planned| planned.name == TOKEN);
    let token = token.ok_or_else(|| eyre::eyre!("there is no test token"))?;
    let has_token = !chain
        .node
        .code_at(token.address, BlockId::latest())
        .await?
        .is_empty();
    let costs = Costs::estimate(&chain, &bounds, survey.cost).await?;
    report.fact("Fees", format!("at most {}", show_ether(costs.fees)));
    report.fact(
        "Loan to a test account",
        format!("{}, returned at the end", show_ether(costs.lent())),
    );
    report.data("maxFeesWei", costs.fees.to_string());
    report.data("lentWei", costs.lent().to_string());

    bounds
        .check_cost(costs.fees)
        .wrap_err("more than --max-cost allows")?;
    let balance = chain.node.balance(funder, BlockId::latest()).await?;
    ensure!(
        balance >= costs.total(),
        "{funder} has {} on chain {}, and the demonstration may need {}: fund it, or use another key",
        show_ether(balance),
        chain.chain_id,
        show_ether(costs.total()),
    );
    arguments.consent(&chain)?;
    Ok(Stage {
        chain,
        bounds,
        deployer,
        survey,
        token,
        has_token,
        costs,
        balance,
    })
}

/// Runs the demonstration. The loan is returned whatever happens.
async fn perform(stage: &Stage, report: &mut Report) -> Ended {
    let chain = &stage.chain;
    // Reserve the cost of returning the loan.
    let spendable = stage.costs.total().saturating_sub(stage.costs.give_back);
    chain.purse.allow(spendable);
    let mut account = None;
    let played = tokio::select! {
        biased;
        interrupted = interrupted(&chain.purse) => Err(interrupted.into()),
        played = play(stage, &mut account, report) => played,
    };
    let mut errors: Vec<_> = played.err().into_iter().collect();
    if let Some(account) = account {
        report.section("The rest is returned");
        chain.purse.allow(stage.costs.give_back);
        let given_back = tokio::select! {
            biased;
            interrupted = interrupted(&chain.purse) => Err(interrupted.into()),
            given_back = give_back(chain, &account, stage.bounds) => given_back,
        };
        match given_back {
            Ok(wei) => {
                report.done(
                    "Given back",
                    format!("{} to {}", show_ether(wei), chain.purse.address()),
                );
                report.data("givenBackWei", wei.to_string());
                show_spent(stage, report).await;
                if Failure::during(&errors).exit == Exit::Open {
                    report.fact("If more arrives", get_back(chain.chain_id, account.address()));
                }
            }
            Err(error) => errors.push(error.wrap_err(remaining(chain, &account).await)),
        }
    }
    if !errors.is_empty() {
        return Ended::Failed(errors);
    }
    if !chain.is_simulated() {
        report.fact(
            "To look at the contracts",
            "session-key doctor --rpc-url … --deployment deterministic",
        );
    }
    Ended::Done
}

/// Shows what the funder has spent, after everything was returned.
async fn show_spent(stage: &Stage, report: &mut Report) {
    let chain = &stage.chain;
    if let Ok(balance) = chain.node.balance(chain.purse.address(), BlockId::latest()).await {
        let spent = stage.balance.saturating_sub(balance);
        report.fact("Spent", format!("{}, in fees", show_ether(spent)));
        report.data("spentWei", spent.to_string());
    }
}

/// Runs everything up to the key's removal. `account` is set before anything is lent to it.
async fn play(stage: &Stage, account: &mut Option<SmartAccount>, report: &mut Report) -> Result<()> {
    report.section("The contracts");
    deploy(stage, report).await?;

    report.section("An account");
    let (chain, funder) = (&stage.chain, stage.chain.purse.address());
    // A salt that no earlier run used.
    let salt = U256::from(chain.node.transaction_count(funder, true).await?);
    let deployment = stage.deployer.plan().deployment();
    let created =
        SmartAccount::from_factory_on(chain.chain_id, chain.provider.clone(), deployment, [funder], salt)
            .await?;
    report.fact("Owner", format!("{funder}, who pays"));
    report.data("account", created.address().to_string());
    if !chain.is_simulated() {
        let way = get_back(chain.chain_id, created.address());
        if report.is_json() {
            print_note(&format!(
                "if this process is killed, recover the loan with: {way}"
            ));
        }
        report.fact("If this is killed", way);
    }
    *account = Some(created.clone());
    let story = Story::begin(stage, created, salt, report).await?;
    story.tell(report).await
}

/// Reports deployments. It stores nothing: after an interruption, the next run waits for pending
/// transactions.
struct Narrator<'a> {
    report: &'a mut Report,
}

impl Keeper for Narrator<'_> {
    fn keep(&mut self, _: &SignedCreation) -> Result<(), KeeperError> {
        Ok(())
    }

    fn created(&mut self, created: &Created) {
        let detail = match created.transaction {
            Some(_) => show_gas_units(created.gas_used),
            None => "created by another transaction in the meantime".to_owned(),
        };
        self.report.done(
            created.contract.to_string(),
            format!("{}  {detail}", created.address),
        );
    }
}

/// Deploys what is missing: the contracts that `session-key deploy` deploys, and a test token.
async fn deploy(stage: &Stage, report: &mut Report) -> Result<()> {
    let (survey, funder) = (&stage.survey, stage.chain.purse.address());
    for surveyed in survey.contracts.iter().filter(|surveyed| surveyed.is_present()) {
        report.done(
            surveyed.contract.to_string(),
            format!("{}  exists already", surveyed.address),
        );
    }
    let mut narrator = Narrator { report };
    stage
        .deployer
        .deploy(survey, &stage.chain.purse, &mut narrator)
        .await
        .wrap_err("deployed contracts stay, and the next run continues from there")?;
    let token = &stage.token;
    let detail = if stage.has_token {
        "exists already".to_owned()
    } else {
        let input = token.transaction(funder).input.into_input().unwrap_or_default();
        let receipt = stage
            .transactions()
            .call(
                "deploying the test token",
                DEPLOYMENT_PROXY,
                U256::ZERO,
                input.into(),
            )
            .await?;
        show_gas_units(receipt.gas_used.unwrap_or_default().saturating_to())
    };
    report.done(token.name, format!("{}  {detail}", token.address));
    Ok(())
}

impl Stage {
    /// Returns the sender of the funder's transactions.
    fn transactions(&self) -> Transactions {
        let chain = &self.chain;
        Transactions::new(
            chain.provider.clone(),
            chain.purse.clone(),
            chain.chain_id,
            self.bounds,
        )
    }
}

/// Recovers what an earlier run left in an account.
async fn get_back_only(arguments: &DemoArguments, address: Address, report: &mut Report) -> Ended {
    let begun = arguments.time_limit.all(async {
        let chain = arguments.chain().await?;
        let bounds = arguments.bounds(chain.chain_id);
        let owner = chain.purse.address();
        report.section("The chain");
        report.fact("Chain", &chain.description);
        report.data("chainId", chain.chain_id);
        report.data("funder", owner.to_string());
        report.data("account", address.to_string());
        let account = SmartAccount::connect_on(chain.chain_id, chain.provider.clone(), address).await?;
        ensure!(
            account.is_owner(owner).await?,
            "{owner} does not own account {address}"
        );
        let costs = Costs::estimate(&chain, &bounds, U256::ZERO).await?;
        report.fact("Fees", format!("at most {}", show_ether(costs.give_back)));
        report.data("maxFeesWei", costs.give_back.to_string());
        bounds
            .check_cost(costs.give_back)
            .wrap_err("more than --max-cost allows")?;
        arguments.consent(&chain)?;
        chain.purse.allow(costs.give_back);
        Ok((chain, account, bounds))
    });
    let (chain, account, bounds) = match begun.await {
        Ok(begun) => begun,
        Err(error) => return Ended::NotBegun(error),
    };
    report.section("The rest is returned");
    match give_back(&chain, &account, bounds).await {
        Ok(wei) => {
            report.done(
                "Given back",
                format!("{} to {}", show_ether(wei), chain.purse.address()),
            );
            report.data("givenBackWei", wei.to_string());
            report.closing("Nothing is left in the account.");
            Ended::Done
        }
        Err(error) => Ended::Failed(vec![error.wrap_err(remaining(&chain, &account).await)]),
    }
}
