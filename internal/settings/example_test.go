package settings_test

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/askback/askback/internal/settings"
)

func Example() {
	wait := 5 * time.Second
	table := settings.New("supervisor")
	table.Add(&wait, settings.Setting{Name: "stop-wait", About: "how long a worker may take to stop"})

	flags := pflag.NewFlagSet("supervisor", pflag.ContinueOnError)
	table.Bind(flags)
	_ = flags.Parse([]string{"--stop-wait", "10s"})
	fmt.Println(table.Resolve(), wait)
	// Output: <nil> 10s
}
