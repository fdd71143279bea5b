//! The `kubernetes` platform: a `ZooKeeperCluster` as StatefulSets, Services and volume claims.
