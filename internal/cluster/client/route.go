package client

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/msgid"
)

// A Route selects channels between two operators: "split>count", "split.0>count.1", "split:errors>count".
type Route struct {
	from, stream, to string
	source, target   int // tasks; -1 is all
}

// RouteOf returns the route of all channels of an edge.
func RouteOf(e *cluster.Edge) Route {
	return Route{from: e.From, stream: e.Stream, to: e.To, source: -1, target: -1}
}

// ErrRoute occurs when a text is not a route.
var ErrRoute = errors.New("want source>target, such as 'split>count', 'split.0>count.1' or 'split:errors>count' (in quotes, for the shell)")

// ParseRoute reads a route.
func ParseRoute(text string) (r Route, err error) {
	from, to, ok := strings.Cut(text, ">")
	if !ok {
		return r, fmt.Errorf("%.200q: %w", text, ErrRoute)
	}
	from, stream, named := strings.Cut(from, ":")
	if named {
		if err := cluster.CheckName("stream", stream, msgid.MaxName); err != nil {
			return r, err
		}
		r.stream = stream
	}
	if r.from, r.source, err = parseEnd(from); err != nil {
		return r, fmt.Errorf("%.200q: %w", text, err)
	}
	if r.to, r.target, err = parseEnd(to); err != nil {
		return r, fmt.Errorf("%.200q: %w", text, err)
	}
	return r, nil
}

// parseEnd reads "count" or "count.1".
func parseEnd(text string) (operator string, task int, err error) {
	operator, index, one := strings.Cut(text, ".")
	if err := cluster.CheckName("operator", operator, msgid.MaxName); err != nil {
		return "", 0, err
	}
	if !one {
		return operator, -1, nil
	}
	alias, err := msgid.ParseAlias(operator + "." + index)
	return alias.Operator, alias.Index, err
}

// String returns the text form.
func (r Route) String() string {
	end := func(operator string, task int) string {
		if task < 0 {
			return operator
		}
		return operator + "." + strconv.Itoa(task)
	}
	from := end(r.from, r.source)
	if r.stream != "" {
		from += ":" + r.stream
	}
	return from + ">" + end(r.to, r.target)
}

// subject returns where the frames of the route's channels travel.
func (r Route) subject(prefix natscluster.Subjects, i cluster.Instance) string {
	index := func(task int) string {
		if task < 0 {
			return "*"
		}
		return strconv.Itoa(task)
	}
	return strings.Join([]string{string(prefix), string(i), "data", r.from, index(r.source), r.to, index(r.target)}, ".")
}

// edge returns the edge of a topology that the route is on.
func (r Route) edge(s *cluster.Spec) (*cluster.Edge, error) {
	var found *cluster.Edge
	var there []string
	for i := range s.Edges {
		e := &s.Edges[i]
		there = append(there, RouteOf(e).String())
		if e.From == r.from && e.To == r.to && e.Stream == r.stream {
			found = e
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s has no edge %s: there are %s", s.Name, Route{r.from, r.stream, r.to, -1, -1}, strings.Join(there, " "))
	}
	from := s.Operator(r.from)
	if from == nil || r.source >= from.Parallel || r.target >= found.Targets {
		return nil, fmt.Errorf("%s has no channel %s: tasks are numbered from 0", s.Name, r)
	}
	return found, nil
}

// channel returns the channel of that number, if it is one of the route's.
func (r Route) channel(e *cluster.Edge, sources int, number uint32) (c msgid.Channel, ok bool) {
	n := int64(number) - int64(e.First)
	if n < 0 || n >= int64(sources)*int64(e.Targets) {
		return c, false
	}
	c = msgid.Channel{
		Source: msgid.Alias{Operator: e.From, Index: int(n) / e.Targets},
		Stream: e.Stream,
		Target: msgid.Alias{Operator: e.To, Index: int(n) % e.Targets},
	}
	return c, (r.source < 0 || r.source == c.Source.Index) && (r.target < 0 || r.target == c.Target.Index)
}
