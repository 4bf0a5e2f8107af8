// Package client is what command lines do with a cluster on behalf of a user: it asks a program what it is, and submits
// it.
//
//	conn := client.FromEnvironment()
//	record, err := client.Submit(ctx, &conn, client.Submission{Path: "./wordcount", Workers: 2})
//
// A topology program is asked by being run with cluster.RoleVariable set to "describe" and with the arguments that its
// workers will get. So whoever submits a program runs it, as himself.
package client
