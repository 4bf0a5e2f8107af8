// Package natslog is the task log in NATS JetStream.
package natslog
