package worker

import (
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/askback/askback/internal/cluster"
)

// A logger writes a line of JSON for each message. How much it writes may be changed for a while; its methods may be
// called from any goroutine.
type logger struct {
	*zap.Logger
	level zap.AtomicLevel
}

func newLogger(out io.Writer) *logger {
	level := zap.NewAtomicLevel() // info
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(config), zapcore.Lock(zapcore.AddSync(out)), level)
	return &logger{Logger: zap.New(core), level: level}
}

// set changes the level until a moment. One that is no level, or is over, makes it info. It is called again and again.
func (l *logger) set(to cluster.Level) {
	level, err := zapcore.ParseLevel(to.Name)
	if err != nil || !time.Now().Before(to.Until) {
		level = zapcore.InfoLevel
	}
	l.level.SetLevel(level)
}
