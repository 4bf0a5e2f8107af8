// Package clustertest tests whole clusters: real processes on hosts that are network namespaces, with TLS and
// credentials, while something is killed, cut off or paused. A topology's counts then equal those of a plain loop.
//
//	n1 n2 n3     NATS servers, one cluster, three replicas
//	m1 m2        nimbuses
//	s1 s2 s3     supervisors, two slots each
//	op           where the operator types
//
// The tests need what package netlab needs.
package clustertest
