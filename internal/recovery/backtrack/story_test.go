package backtrack

import (
	"testing"

	"github.com/askback/askback/internal/recovery/recoverytest"
)

var stories = recoverytest.Stories{Factory: New, Determinants: describeDeterminants}

func TestStories(t *testing.T) { stories.Run(t) }

func TestRules(t *testing.T) {
	recoverytest.ShowRules(t, "../*.go", "../../checkpoint/*.go", "../../../state/*.go")
}

func TestBugs(t *testing.T) { recoverytest.ShowBugs(t, stories, Bugs, Planted) }
