package daemon

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/askback/askback/internal/settings"
)

// logging holds what is logged, and how.
type logging struct{ level, format string }

func (l *logging) add(t *settings.Table) {
	l.level = "info"
	t.Add(&l.level, settings.Setting{Name: "log-level", Unit: "debug, info, warn or error", About: "how much is logged, to standard error"})
	t.Add(&l.format, settings.Setting{Name: "log-format", Unit: "json or text", About: "how it is logged", Otherwise: "text on a terminal, else json"})
}

// logger returns the logger.
func (l *logging) logger(to io.Writer) (*zap.Logger, error) { return NewLogger(l.level, l.format, to) }

// NewLogger returns a logger that writes each line at once. The format "" is the settings' default.
func NewLogger(least, format string, to io.Writer) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(least)
	if err != nil || level > zapcore.ErrorLevel {
		return nil, fmt.Errorf("log-level %.40q: want debug, info, warn or error", least)
	}
	if f, ok := to.(*os.File); format == "" {
		format = "json"
		if ok && term.IsTerminal(int(f.Fd())) {
			format = "text"
		}
	}
	c := zap.NewProductionEncoderConfig()
	c.EncodeTime = zapcore.ISO8601TimeEncoder
	c.EncodeDuration = zapcore.StringDurationEncoder
	var encoder zapcore.Encoder
	switch format {
	case "json":
		encoder = zapcore.NewJSONEncoder(c)
	case "text":
		c.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		c.EncodeLevel = zapcore.LowercaseLevelEncoder
		c.ConsoleSeparator = "  "
		encoder = zapcore.NewConsoleEncoder(c)
	default:
		return nil, fmt.Errorf("log-format %.40q: want json or text", format)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(to)), level)), nil
}
