//! Reads many views at once: with `Multicall3` where it exists, else in JSON-RPC batches, else one by one.

use crate::{
    abi::Multicall3,
    node::{Node, block},
    request::{RequestError, patiently},
    revert::Revert,
};
use alloy::{
    eips::BlockId,
    network::TransactionBuilder,
    primitives::{Address, Bytes, address},
    providers::Provider,
    rpc::{client::BatchRequest, types::TransactionRequest},
    sol_types::SolCall,
};
use futures_util::future::join_all;
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The address of `Multicall3` on most chains.
const MULTICALL3: Address = address!("0xcA11bde05977b3631167028862bE2a173976CA11");
/// The maximum number of calls per request.
const MAX_CALLS: usize = 100;
/// The maximum gas per request. A view takes about 10,000.
const MAX_GAS: u64 = 10_000_000;
/// The maximum number of requests in flight.
const SIDE_BY_SIDE: usize = 8;

/// Reads views of one contract at one block.
pub(crate) struct Views<'a> {
    node: &'a Node,
    contract: Address,
    at: BlockId,
    has_multicall: bool,
    /// The maximum number of calls per request that the node has not refused.
    most: AtomicUsize,
}

impl<'a> Views<'a> {
    /// Detects `Multicall3`.
    pub(crate) async fn new(node: &'a Node, contract: Address, at: BlockId) -> Result<Self, RequestError> {
        let has_multicall = Self::has_multicall(node, at).await?;
        Ok(Self::with(node, contract, at, has_multicall))
    }

    /// Whether `Multicall3` exists.
    pub(crate) async fn has_multicall(node: &Node, at: BlockId) -> Result<bool, RequestError> {
        let code = node.code_at(MULTICALL3, at).await?;
        Ok(!code.is_empty())
    }

    /// Reads with `Multicall3` if it exists.
    pub(crate) const fn with(node: &'a Node, contract: Address, at: BlockId, has_multicall: bool) -> Self {
        Self {
            node,
            contract,
            at,
            has_multicall,
            most: AtomicUsize::new(MAX_CALLS),
        }
    }

    /// Returns the results of these calls, in order.
    pub(crate) async fn read(&self, calls: &[Bytes]) -> Vec<Result<Bytes, RequestError>> {
        let mut answers: Vec<Option<Result<Bytes, RequestError>>> = vec![None; calls.len()];
        let mut open: VecDeque<usize> = (0..calls.len()).collect();
        while !open.is_empty() {
            let size = self.most.load(Ordering::Relaxed).max(1);
            let wave: Vec<usize> = open.drain(..open.len().min(size * SIDE_BY_SIDE)).collect();
            let asked = wave
                .chunks(size)
                .map(async |chunk| (chunk, self.chunk(calls, chunk).await));
            let mut refused = Vec::new();
            for (chunk, answered) in join_all(asked).await {
                match answered {
                    Some(found) => {
                        for (index, answer) in chunk.iter().zip(found) {
                            answers[*index] = Some(answer);
                        }
                    }
                    None => refused.extend_from_slice(chunk),
                }
            }
            if !refused.is_empty() {
                // What one chunk taught applies to all.
                self.most.fetch_min((size / 2).max(1), Ordering::Relaxed);
            }
            open.extend(refused);
        }
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(|| Err(RequestError::unreadable("eth_call", "nothing"))))
            .collect()
    }

    /// Returns the answers of a chunk. `None`: the node may need smaller chunks.
    async fn chunk(&self, calls: &[Bytes], chunk: &[usize]) -> Option<Vec<Result<Bytes, RequestError>>> {
        if let [only] = chunk {
            return Some(vec![self.single(&calls[*only]).await]);
        }
        let found = patiently(|| async {
            if self.has_multicall {
                self.multicall(calls, chunk).await
            } else {
                self.batch(calls, chunk).await
            }
        });
        match found.await {
            Ok(answers) => Some(answers),
            // A server in between gave up: the request may have been too large.
            Err(RequestError::NoAnswer { status: Some(_), .. }) => None,
            // If rate limited or unreachable, do not send a hundred requests instead.
            Err(error) if error.is_transient() => Some(vec![Err(error); chunk.len()]),
            Err(_) => None,
        }
    }

    fn request(&self, call: &Bytes) -> TransactionRequest {
        TransactionRequest::default()
            .with_to(self.contract)
            .with_input(call.clone())
    }

    async fn single(&self, call: &Bytes) -> Result<Bytes, RequestError> {
        let request = self.request(call);
        patiently(|| self.node.call(&request, self.at)).await
    }

    async fn multicall(
        &self,
        calls: &[Bytes],
        chunk: &[usize],
    ) -> Result<Vec<Result<Bytes, RequestError>>, RequestError> {
        let aggregate = Multicall3::aggregate3Call {
            calls: chunk
                .iter()
                .map(|index| Multicall3::Call3 {
                    target: self.contract,
                    allowFailure: true,
                    callData: calls[*index].clone(),
                })
                .collect(),
        };
        let request = TransactionRequest::default()
            .with_to(MULTICALL3)
            .with_gas_limit(MAX_GAS)
            .with_input(aggregate.abi_encode());
        let answer = self.node.call(&request, self.at).await?;
        let results = Multicall3::aggregate3Call::abi_decode_returns_validate(&answer)
            .ok()
            .filter(|results| results.len() == chunk.len())
            .ok_or_else(|| RequestError::unreadable("eth_call", "not an answer of Multicall3"))?;
        // A call that fails without data may only have run out of gas.
        if results
            .iter()
            .any(|result| !result.success && result.returnData.is_empty())
        {
            return Err(RequestError::unreadable(
                "eth_call",
                "a call of Multicall3 ran out of gas",
            ));
        }
        let read = |result: Multicall3::Result| {
            if result.success {
                Ok(result.returnData)
            } else {
                let revert = Revert::decode(&result.returnData);
                Err(RequestError::unreadable(
                    "eth_call",
                    format!("reverted: {revert}"),
                ))
            }
        };
        Ok(results.into_iter().map(read).collect())
    }

    async fn batch(
        &self,
        calls: &[Bytes],
        chunk: &[usize],
    ) -> Result<Vec<Result<Bytes, RequestError>>, RequestError> {
        let of = |error: &alloy::transports::TransportError| RequestError::of("eth_call", error);
        let client = self.node.provider().client();
        let mut batch = BatchRequest::new(client);
        let mut waiters = Vec::with_capacity(chunk.len());
        for index in chunk {
            let params = (self.request(&calls[*index]), block(self.at));
            let waiter = batch
                .add_call::<_, Bytes>("eth_call", &params)
                .map_err(|error| of(&error))?;
            waiters.push(waiter);
        }
        batch.send().await.map_err(|error| of(&error))?;
        let mut answers = Vec::with_capacity(chunk.len());
        for waiter in waiters {
            answers.push(waiter.await.map_err(|error| of(&error)));
        }
        // Some nodes refuse a batch by refusing each of its requests.
        let is_refused = |answer: &Result<Bytes, RequestError>| matches!(answer, Err(error) if !matches!(error, RequestError::Answered(answer) if answer.data.is_some()));
        match answers.iter().find(|answer| is_refused(answer)) {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(answers),
        }
    }
}
