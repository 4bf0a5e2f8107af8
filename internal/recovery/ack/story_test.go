package ack_test

import (
	"testing"

	"github.com/askback/askback/internal/recovery/ack"
	"github.com/askback/askback/internal/recovery/recoverytest"
)

var stories = recoverytest.Stories{Factory: ack.New}

func TestStories(t *testing.T) { stories.Run(t) }

func TestRules(t *testing.T) { recoverytest.ShowRules(t) }

func TestBugs(t *testing.T) { recoverytest.ShowBugs(t, stories, ack.Bugs, ack.Planted) }
