//! A chain with a session key, and a service that holds it.

use serde_json::{Value, json};
use session_key_agent_service::{
    ClientSettings, Place, Service, ServiceSettings, Token,
    agent::{
        client::{
            SessionKeyClient,
            alloy::primitives::{Address, U256},
            permissions::{
                Permissions, SpendLimit,
                policy::{Facts, Policy, PolicyFormat},
            },
        },
        store::Stores,
    },
    bridge::{Bridge, BridgeError, Target},
    log::LogError,
    rpc::{RpcError, code},
    run,
};
use session_key_devnet::{Devnet, WithKey};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle, time::sleep};

pub(crate) const SHOP: Address = Address::repeat_byte(0x77);

/// What all processes of a test share.
pub(crate) struct World {
    pub(crate) chain: WithKey,
    pub(crate) stores: Stores,
    pub(crate) folder: TempDir,
    pub(crate) tokens: [Token; 3],
}

/// A service that runs, on a unix socket and a port.
pub(crate) struct Running {
    pub(crate) service: Service,
    pub(crate) port: u16,
    socket: PathBuf,
    tokens: [Token; 3],
    end: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl World {
    /// The key may send the shop a thousand wei; so may the clients `a` and `b`, with rules of their own.
    pub(crate) async fn new() -> Self {
        let permissions = Permissions::new()
            .contract(SHOP)
            .native_token_spend_limit(SpendLimit::per(U256::from(1_000), 100_000));
        Self {
            chain: Devnet::with_key(&permissions).await.unwrap(),
            stores: Stores::memory(),
            folder: tempfile::tempdir().unwrap(),
            tokens: [Token::random(), Token::random(), Token::random()],
        }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("decisions.log")
    }

    pub(crate) fn paid(&self) -> U256 {
        self.chain.devnet.testkit().chain().balance(SHOP)
    }

    fn client(&self, index: usize, name: &str, rules: &str) -> ClientSettings {
        let policy = Policy::parse(&format!("[agent]\n{rules}"), PolicyFormat::Toml).unwrap();
        ClientSettings {
            name: name.to_owned(),
            token_hash: self.tokens[index].hash(),
            rules: policy.agent_rules(&Facts::new()).unwrap(),
            most_pending: 16,
            requests_per_second: 1_000,
            share: false,
        }
    }

    pub(crate) fn settings(&self) -> ServiceSettings {
        let a = self.client(0, "a", "windows = [\"500 wei per 1 day\"]");
        let b = self.client(
            1,
            "b",
            &format!("recipients = [\"{SHOP}\"]\nper_call = [\"50 wei\"]"),
        );
        ServiceSettings {
            clients: vec![a, b],
            metrics: Some(self.tokens[2].hash()),
            from_block: 0,
            timeout: Duration::from_secs(30),
        }
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_with(self.settings()).await
    }

    pub(crate) async fn start_with(&self, settings: ServiceSettings) -> Running {
        let account = self.chain.account.clone().with_desk(self.stores.desk());
        let signer = Arc::new(self.chain.session_key.signer());
        let client = SessionKeyClient::shared(account, signer.clone(), self.chain.agent.submitter().clone());
        let ledger = self.stores.ledger.clone();
        let service = loop {
            let (client, signer, ledger) = (client.clone(), signer.clone(), ledger.clone());
            match Service::start(client, signer, ledger, settings.clone(), self.log()).await {
                Ok(service) => break service,
                // The one before has just ended.
                Err(LogError::InUse) => sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error}"),
            }
        };
        let socket = self.folder.path().join("agent.sock");
        let place = Place::unix(&socket).await.unwrap();
        let loopback = Place::loopback(0).await.unwrap();
        let port = loopback.port().unwrap();
        let (end, ending) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(run(service.clone(), place, ending.clone())),
            tokio::spawn(run(service.clone(), loopback, ending)),
        ];
        Running {
            service,
            port,
            socket,
            tokens: self.tokens.clone(),
            end,
            tasks,
        }
    }

    pub(crate) fn bundle(&self, id: &str, amount: u64) -> Value {
        json!([{
            "version": "2.0.0",
            "id": id,
            "from": self.chain.account.address(),
            "chainId": "0x7a69",
            "atomicRequired": true,
            "calls": [{ "to": SHOP, "value": format!("{amount:#x}") }],
        }])
    }
}

impl Running {
    pub(crate) fn bridge(&self, client: usize) -> Bridge {
        Bridge::new(Target::Unix(self.socket.clone()), self.tokens[client].clone())
    }

    pub(crate) async fn ask(&self, client: usize, method: &str, params: Value) -> Result<Value, RpcError> {
        match self.bridge(client).call(method, params).await {
            Ok(answer) => Ok(answer),
            Err(BridgeError::Rpc(error)) => Err(error),
            Err(error) => panic!("{method}: {error}"),
        }
    }

    /// Asks for the status until it is decided.
    pub(crate) async fn decided(&self, client: usize, id: &str) -> Value {
        for _ in 0..600 {
            match self.ask(client, "wallet_getCallsStatus", json!([id])).await {
                Ok(status) if status["status"] != 100 => return status,
                Ok(_) => {}
                Err(error) => assert_eq!(error.code, code::LIMIT, "{error}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("{id} is not decided")
    }

    /// Ends the service, and frees its log.
    pub(crate) async fn end(self, limit: Duration) -> session_key_agent_service::Stopped {
        let stopped = self.service.stop(limit).await.unwrap();
        self.end.send(true).unwrap();
        for task in self.tasks {
            task.await.unwrap();
        }
        drop(self.service);
        stopped
    }
}
