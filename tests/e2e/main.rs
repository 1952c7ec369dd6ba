//! End to end, against real parts: etcd, kube-apiserver, the HPA controller, KWOK, Prometheus, helm.

mod access;
mod ask;
mod attack;
mod broken;
mod clients;
mod compare;
mod corpus;
mod edits;
mod examples;
mod faults;
mod hostile;
mod import;
mod kubelet;
mod metrics;
mod migration;
mod never;
mod oncall;
mod preview;
mod registration;
mod rolling;
mod sums;
mod support;
mod tenancy;
mod traffic;
mod uninstall;
mod untrusted;
