package settings

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a number of bytes, written 1000, 64KiB, 512MiB, 2GiB or 1TiB.
type Bytes int64

var suffixes = []string{"TiB", "GiB", "MiB", "KiB"}

// String returns the number in the greatest unit that divides it.
func (b *Bytes) String() string {
	for i, suffix := range suffixes {
		if unit := Bytes(1) << (10 * (len(suffixes) - i)); *b != 0 && *b%unit == 0 {
			return strconv.FormatInt(int64(*b/unit), 10) + suffix
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}

// Set reads a number.
func (b *Bytes) Set(text string) error {
	unit, number := int64(1), text
	for i, suffix := range suffixes {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			unit, number = 1<<(10*(len(suffixes)-i)), rest
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return fmt.Errorf("%.40q is no number of bytes, such as 1000, 64KiB, 512MiB or 2GiB", text)
	}
	*b = Bytes(n * unit)
	return nil
}

// Type names the type in help texts.
func (b *Bytes) Type() string { return "bytes" }
