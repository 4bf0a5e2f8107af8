package daemon

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster/supervisor"
	"github.com/askback/askback/internal/settings"
)

// A supervisorProgram is supervisor with the settings of its command line.
type supervisorProgram struct {
	supervisor.Config
	logging
	trust          string
	cpu            int
	memory, maxLog settings.Bytes
	table          *settings.Table
}

func newSupervisor() *supervisorProgram {
	s := &supervisorProgram{table: settings.New("supervisor"), maxLog: 10 << 20}
	s.Slots = runtime.NumCPU()
	s.StopWait, s.LogFiles, s.KeepLogs = 5*time.Second, 4, 24*time.Hour
	t := s.table
	AddConnection(t, &s.Connection)
	t.Add(&s.trust, settings.Setting{Name: "trust", Unit: "file", About: "the signers whose programs may run, from \"askback auth init\"; needed with --creds"})
	t.Add(&s.Name, settings.Setting{Name: "name", Unit: "name", About: "the name of this supervisor, unlike all others'; with credentials, the name that they are for", Otherwise: "the host's name"})
	t.Add(&s.Dir, settings.Setting{Name: "dir", Unit: "directory", About: "the place of programs, logins, logs and the workers' own directories", Otherwise: "/var/lib/askback as root, else ~/.local/share/askback"})
	t.Add(&s.Slots, settings.Setting{Name: "slots", About: "how many workers run here at most", Otherwise: "one for each processor"})
	t.Add(&s.cpu, settings.Setting{Name: "cpu", Unit: "percent of a core", About: "processor time that tasks here may ask for together", Otherwise: "no limit"})
	t.Add(&s.memory, settings.Setting{Name: "memory", About: "memory that tasks here may ask for together", Otherwise: "no limit"})
	t.Add(&s.Tags, settings.Setting{Name: "tags", About: "the properties of this host, for topologies that require them"})
	t.Add(&s.Detection, settings.Setting{Name: "detection", About: "the time without a heartbeat after which a worker is killed and started again", Otherwise: "nimbus's own"})
	t.Add(&s.StopWait, settings.Setting{Name: "stop-wait", About: "how long a worker may take to stop by itself before it is killed"})
	t.Add(&s.StopWorkers, settings.Setting{Name: "stop-workers", About: "stop all workers when the supervisor stops; otherwise they run on, and its next run adopts them"})
	t.Add(&s.RunAs, settings.Setting{Name: "run-as", Unit: "user", About: "the user that workers run as, if the supervisor is root", Otherwise: "askback-worker if there is one, else nobody"})
	t.Add(&s.Cgroup, settings.Setting{Name: "cgroup", Unit: "directory, or none", About: "cgroup v2 directory below which each worker has its own", Otherwise: "the supervisor's own; rlimits where that cannot be used"})
	t.Add(&s.maxLog, settings.Setting{Name: "max-log", About: "how long the file with a worker's output becomes before a new one is begun"})
	t.Add(&s.LogFiles, settings.Setting{Name: "log-files", About: "how many older files of a worker's output are kept"})
	t.Add(&s.KeepLogs, settings.Setting{Name: "keep-logs", About: "how long the output of an ended worker is kept"})
	s.add(t)
	return s
}

// SupervisorCommand returns the program supervisor.
func SupervisorCommand() *cobra.Command {
	s := newSupervisor()
	return command(&cobra.Command{
		Use:   "supervisor",
		Short: "Starts and stops the workers of one host",
		Long: `Supervisor runs the workers that nimbus places on this host: it fetches their program, checks its signature, starts it
with a clean environment and limits, starts it again when it dies, and keeps its output. Workers outlive it: stopped and
started again, it adopts them (--stop-workers changes that).

Run as root it makes workers another user, which can read neither its keys nor your files. It needs Linux 5.10 or
newer.`,
		Example: `  supervisor --dir ./data                       an open cluster on this machine
  supervisor --server tls://n1:4222,tls://n2:4222 --ca ca.pem --creds supervisor-host-1.creds --trust trust --name host-1
  supervisor --config /etc/askback/supervisor.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context(), cmd.ErrOrStderr()) },
	}, s.table)
}

func (s *supervisorProgram) run(ctx context.Context, logs io.Writer) (err error) {
	if err := s.table.Resolve(); err != nil {
		return err
	}
	if s.Slots < 1 {
		return fmt.Errorf("%w: slots is %d: want 1 or more; a supervisor without slots runs no worker", settings.ErrValue, s.Slots)
	}
	if s.Log, err = s.logger(logs); err != nil {
		return err
	}
	if s.Trust, err = trust(&s.Connection, s.trust); err != nil {
		return err
	}
	if s.Dir == "" {
		if s.Dir, err = dataDir(); err != nil {
			return err
		}
	}
	s.CPU, s.Memory, s.MaxLog = int64(s.cpu), int64(s.memory), int64(s.maxLog)
	program, err := supervisor.New(s.Config)
	if err != nil {
		return err
	}
	return program.Run(ctx)
}

// dataDir returns where data is kept that no setting puts elsewhere.
func dataDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/askback", nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "share", "askback"), err
}
