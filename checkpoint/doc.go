// Package checkpoint is the task log.
package checkpoint
