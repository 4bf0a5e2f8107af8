// Package client is the way of programs to a cluster on behalf of a user. A Client holds one connection; Submit is a
// convenience for programs that do nothing else.
//
//	c, err := client.Dial(client.Options{Connection: client.FromEnvironment()})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	list, err := c.List(ctx)
//
// A request without an answer is repeated until Options.Timeout, for a new leader may be on its way; then the error is
// cluster.ErrNoNimbus. A refusal is a *cluster.RequestError. A missing permission is ErrDenied.
//
// To submit a program is to run it: Describe starts it with cluster.RoleVariable set to "describe" and with the arguments
// of its workers, and it prints its Spec.
package client
