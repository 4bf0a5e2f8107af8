package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/codec"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// The forms of a shape: the layer in which it is written, and the fusion of its steps.
const (
	Rows     = ""         // operators that read and emit rows
	Fused    = "fused"    // steps of package stream, fused wherever that is possible
	Isolated = "isolated" // steps of package stream, each an operator of its own
	Mixed    = "mixed"    // steps of package stream, some of which are kept apart, by chance
)

// Forms lists the forms.
var Forms = []string{Rows, Fused, Isolated, Mixed}

// FormName returns the name of a form: "rows" for Rows, else the form itself.
func FormName(form string) string {
	if form == Rows {
		return "rows"
	}
	return form
}

// FormNamed returns the form of a name that FormName returns.
func FormNamed(name string) (string, error) {
	for _, f := range Forms {
		if FormName(f) == name {
			return f, nil
		}
	}
	return "", fmt.Errorf("sim: there is no form %q: there are rows, fused, isolated and mixed", name)
}

// An item is a value of the typed shapes. Its fields are those of every tuple of the row shapes, and Pad follows from Root.
type item struct {
	Root  string `askback:"root"`
	Value uint64 `askback:"value"`
	Pad   []byte `askback:"pad"`
}

// itemOf makes an item with its pad.
func itemOf(root string, value uint64) item {
	pad := make([]byte, padding(root))
	for i := range pad {
		pad[i] = root[i%len(root)] + byte(i)
	}
	return item{root, value, pad}
}

// intact reports whether the pad, which is a view where it was decoded, still is the root's.
func (v item) intact() bool { return string(v.Pad) == string(itemOf(v.Root, 0).Pad) }

// A pair is a key of two fields.
type pair struct {
	Root  string
	Value uint64
}

// A typed declares a shape with package stream, and also keeps the steps as plain folds, and their readers, so that the
// oracle can compute the shape without that package.
//
// Every output of a step is read through some further steps, drawn from the seed, that change values and add and remove
// some, so that each seed has another graph to fuse.
type typed struct {
	w     *World
	form  string
	t     *stream.Topology
	rand  *rand.Rand
	steps []*step // as declared: each after those that it reads
	added int     // steps that were drawn

	pessimism topology.Pessimism

	making  map[*step]any // the parts of the operator that is being made; nil while none is
	running *recorder     // the operator that is running; nil in a spout
}

// A step is a step of a typed shape, as the oracle sees it.
type step struct {
	name   string
	source bool
	tasks  int // 0: as its first input
	ports  []*port
	main   *stepOutput
	sides  []*stepOutput
	dead   *stepOutput // nil unless its dead letters are read
	lucky  bool        // it may have other output in a replay
	fails  bool        // it has retries or a policy, and there may be values that it cannot process
	fold   func(self msgid.Alias) stepFold
}

// A stepOutput is an output of a step.
type stepOutput struct {
	step *step
	name string // of a side output; else that of the step
	kind valueKind
}

// A port is an input of a step, and the output that it reads.
type port struct {
	step   *step
	number int
	from   []reading
}

// A reading is the way in which an output is read.
type reading struct {
	from     *stepOutput
	grouping topology.Grouping // Shuffle: forward
	key      keyKind
}

// A keyKind is the key by which a stream is read.
type keyKind uint8

const (
	noKey    keyKind = iota
	byRoot           // text
	byPad            // bytes
	byPair           // a struct
	byTarget         // a number that names one of a few targets
	byShort          // text, a few different ones
)

func rootKey(v item) string   { return v.Root }
func padKey(v item) []byte    { return v.Pad }
func pairKey(v item) pair     { return pair{v.Root, v.Value} }
func targetKey(v item) uint64 { return hashOf(v.Root) % 5 }
func shortKey(v item) string  { return keyOf(v.Root) }

// hash returns the hash of a value's key.
func (k keyKind) hash(v item) uint64 {
	switch k {
	case byPair:
		return keyHash(pairKey(v))
	case byTarget:
		return keyHash(targetKey(v))
	case byPad:
		return tuple.Hash(v.Pad)
	case byShort:
		return tuple.Hash([]byte(shortKey(v)))
	}
	return tuple.Hash([]byte(v.Root))
}

func keyHash[K any](key K) uint64 {
	c, err := codec.KeyOf[K]()
	if err != nil {
		panic(err) // the types of keys are listed above
	}
	return tuple.Hash(c.Append(nil, &key))
}

// A flow is a stream of items in a shape that is being declared.
type flow struct {
	k        *typed
	step     *step // of this output; nil of a merge
	s        stream.Stream[item]
	outs     []*stepOutput
	grouping topology.Grouping
	key      keyKind
}

func newTyped(w *World) *typed {
	return &typed{w: w, form: w.scenario.Form, t: stream.New("sim"), rand: rand.New(rand.NewPCG(w.scenario.Seed, 10))}
}

// step adds a step, and its fold for the oracle.
func (k *typed) step(name string, kind valueKind) *step {
	st := &step{name: name}
	st.main = &stepOutput{step: st, name: name, kind: kind}
	k.steps = append(k.steps, st)
	return st
}

// isolate reports whether the next step is to be kept apart.
func (k *typed) isolate() bool {
	return k.form == Isolated || k.form == Mixed && k.rand.IntN(3) == 0
}

// flowOf is the output of a step.
func (k *typed) flowOf(st *step, s stream.Stream[item]) flow {
	if k.isolate() {
		s.Isolate()
	}
	return flow{k: k, step: st, s: s, outs: []*stepOutput{st.main}}
}

// tasks sets how many tasks the step has.
func (f flow) tasks(n int) flow {
	f.s.Parallel(n)
	f.step.tasks = n
	return f
}

// retry, drop and dead declare the policy for values that the step cannot process. With bug RetryUpstream, package stream
// does not learn of retries, so that the step is fused with others, and the recorder tries again.
func (f flow) retry(times int, backoff time.Duration) flow {
	f.step.fails = true
	if f.k.w.scenario.Bug != RetryUpstream {
		f.s.Retry(times, backoff)
	}
	return f
}

func (f flow) drop() flow {
	f.step.fails = true
	if f.k.w.scenario.Bug != RetryUpstream {
		f.s.Drop()
	}
	return f
}

func (f flow) dead() deadFlow {
	f.step.fails = true
	f.step.dead = &stepOutput{step: f.step, name: topology.DeadStream, kind: deadValue}
	return deadFlow{stream.DeadLetters[item](f.s), f.step.dead}
}

type deadFlow struct {
	s   stream.Stream[stream.Dead[item]]
	out *stepOutput
}

// side is a side output of the step.
func (f flow) side(name string) flow {
	o := &stepOutput{step: f.step, name: name, kind: itemValue}
	f.step.sides = append(f.step.sides, o)
	f.s, f.outs = stream.Side(f.s, tags[name]), []*stepOutput{o}
	f.step = nil
	return f
}

var tags = map[string]stream.Tag[item]{"odd": stream.NewTag[item]("odd"), "side": stream.NewTag[item]("side")}

// The following choose how the reader of the flow gets its values.
func (f flow) all() flow           { f.grouping = topology.All; return f }
func (f flow) global() flow        { f.grouping = topology.Global; return f }
func (f flow) by(key keyKind) flow { f.grouping, f.key = topology.Keyed, key; return f }
func (f flow) rebalance() flow     { f.s = f.s.Rebalance(); return f }
func (k *typed) merge(flows ...flow) flow {
	m := flow{k: k}
	var streams []stream.Stream[item]
	for _, f := range flows {
		f = f.through()
		streams = append(streams, f.s)
		m.outs = append(m.outs, f.outs...)
	}
	m.s = stream.Merge(streams...)
	return m
}

// through returns the flow after some steps that were drawn.
func (f flow) through() flow {
	k := f.k
	most := 4
	if k.form == Isolated {
		most = 2 // each is an operator
	}
	g, key := f.grouping, f.key
	f.grouping, f.key = topology.Shuffle, noKey
	for range k.rand.IntN(most) {
		f = f.pass(passes[k.rand.IntN(len(passes))])
	}
	f.grouping, f.key = g, key
	return f
}

// pass adds a step that has no state.
func (f flow) pass(p *pass) flow {
	f = f.add(p)
	if p.then != nil {
		f = f.add(p.then)
	}
	return f
}

func (f flow) add(p *pass) flow {
	k := f.k
	k.added++
	name := fmt.Sprintf("%s%d", p.name, k.added)
	s := p.declare(k, f.s, name)
	st := k.step(name, itemValue)
	st.ports = []*port{{step: st, from: f.readings()}}
	st.fold = func(msgid.Alias) stepFold { return passFold{step: st, pass: p} }
	return k.flowOf(st, s)
}

func (f flow) readings() (from []reading) {
	for _, o := range f.outs {
		from = append(from, reading{o, f.grouping, f.key})
	}
	return from
}

// read returns the stream as a step reads it, unless that is by key.
func (f flow) read() stream.Stream[item] {
	switch f.grouping {
	case topology.All:
		return f.s.Broadcast()
	case topology.Global:
		return f.s.Global()
	}
	return f.s
}

// port adds a port to a step.
func (st *step) port(from []reading) {
	st.ports = append(st.ports, &port{step: st, number: len(st.ports), from: from})
}

// from begins with a source of roots.
func (k *typed) from(name string, tasks int) flow {
	st := k.step(name, itemValue)
	st.source = true
	s := stream.From(k.t, name, stream.Source[item](rootSource{k, st}))
	return k.flowOf(st, s).tasks(tasks)
}

// process adds a step that runs a logic. Its state is keyed if that of the logic is; else it is stored whole.
func (k *typed) process(name string, l *logic, in ...flow) flow {
	for i := range in {
		in[i] = in[i].through()
	}
	st := k.step(name, itemValue)
	st.lucky = l == lucky || l == luckier || l == luckyKeyed
	st.fold = func(self msgid.Alias) stepFold { return newLogicFold(st, l, self) }
	base := func() stepper { return stepper{k: k, step: st, logic: l} }
	var s stream.Stream[item]
	if l.keyed {
		s = declare(st, in, func() *keyedStepper { return &keyedStepper{stepper: base()} })
	} else {
		s = declare(st, in, func() *ownStepper { return &ownStepper{stepper: base()} })
	}
	return k.flowOf(st, s)
}

// declare declares a step with state.
func declare[P interface{ part() *stepper }](st *step, in []flow, make func() P) stream.Stream[item] {
	l := make().part().logic
	take := func(p P, c *stream.Context, v item, out func(item)) error { return p.part().take(c, v, out) }
	var inputs []stream.Input[P, item]
	for _, f := range in {
		inputs = append(inputs, keyedInput(f, take))
		st.port(f.readings())
	}
	if l.tick != nil {
		inputs = append(inputs, stream.OnTick(l.every, func(p P, c *stream.Context, now time.Time, out func(item)) error {
			return p.part().tick(c, now, out)
		}))
	}
	if l.finish != nil {
		inputs = append(inputs, stream.OnEnd(func(p P, c *stream.Context, out func(item)) error { return p.part().end(c, out) }))
	}
	return stream.Process(st.name, func() P {
		p := make()
		p.part().k.made(st, p)
		return p
	}, inputs...)
}

func keyedInput[P any](f flow, take func(P, *stream.Context, item, func(item)) error) stream.Input[P, item] {
	switch f.key {
	case byRoot:
		return stream.OnKeyed(stream.KeyBy(f.s, rootKey), take)
	case byPad:
		return stream.OnKeyed(stream.KeyBy(f.s, padKey), take)
	case byPair:
		return stream.OnKeyed(stream.KeyBy(f.s, pairKey), take)
	case byTarget:
		return stream.OnKeyed(stream.KeyBy(f.s, targetKey), take)
	case byShort:
		return stream.OnKeyed(stream.KeyBy(f.s, shortKey), take)
	}
	return stream.On(f.read(), take)
}

// try adds a step without state that may fail: a TryMap.
func (k *typed) try(name string, in flow) flow {
	in = in.through()
	st := k.step(name, itemValue)
	st.port(in.readings())
	st.fold = func(msgid.Alias) stepFold {
		return mapFold{step: st, of: func(v value) value { return value{item: tried(v.item)} }}
	}
	return k.flowOf(st, stream.TryMap(in.read(), name, func(_ context.Context, v item) (item, error) {
		if st.fails && k.w.poisons(st.name, k.running.id, v.Root) {
			return item{}, k.w.poisoned(k.running.id)
		}
		return tried(v), nil
	}))
}

func tried(v item) item { v.Value += 7; return v }

// aggregate adds an aggregation by a short key, and a step that makes items of its results. If every is not 0, results
// that have changed are put out on that interval.
func (k *typed) aggregate(name string, tasks int, every time.Duration, in flow) flow {
	in = in.by(byShort).through()
	st := k.step(name, entryValue)
	st.tasks = tasks
	st.port(in.readings())
	st.fold = func(msgid.Alias) stepFold { return &aggregateFold{step: st, ticks: every > 0} }
	keyed := stream.KeyBy(in.s, shortKey)
	if every > 0 {
		keyed = keyed.Every(every)
	}
	entries := stream.Aggregate(keyed, name, func(acc *uint64, v item) { *acc = aggregated(*acc, v) }).Parallel(tasks)
	if k.isolate() {
		entries.Isolate()
	}
	made := k.step(name+"_items", itemValue)
	made.port([]reading{{from: st.main}})
	made.fold = func(msgid.Alias) stepFold {
		return mapFold{step: made, of: func(v value) value { return value{item: itemOf(v.key, v.n)} }}
	}
	return k.flowOf(made, stream.Map(entries, made.name, func(e stream.Entry[string, uint64]) item { return itemOf(e.Key, e.Value) }))
}

func aggregated(acc uint64, v item) uint64 { return acc*31 + v.Value&0xffff + 1 }

// morgue reads dead letters, and ends in a sink.
func (k *typed) morgue(name string, dead ...deadFlow) {
	var streams []stream.Stream[stream.Dead[item]]
	st := k.step(name, itemValue)
	p := &port{step: st}
	for _, d := range dead {
		streams = append(streams, d.s)
		p.from = append(p.from, reading{from: d.out})
	}
	st.ports = []*port{p}
	st.fold = func(msgid.Alias) stepFold {
		return mapFold{step: st, of: func(v value) value { return value{item: buried(v.item, v.id, v.reason)} }}
	}
	s := stream.Map(stream.Merge(streams...), name, func(d stream.Dead[item]) item {
		if !d.Value.intact() {
			k.w.violate("I3", "dead letter %s: its value %q has the pad %x", d.ID, d.Value.Root, d.Value.Pad)
		}
		return buried(d.Value, d.ID, d.Reason)
	})
	k.to(name+"_out", sink, k.flowOf(st, s).tasks(1))
}

func buried(v item, id, reason string) item {
	return itemOf(v.Root, v.Value^hashOf(id)^hashOf(reason)<<16)
}

// to ends a flow in a sink.
func (k *typed) to(name string, l *logic, in flow) sinkStep {
	in = in.through()
	st := k.step(name, itemValue)
	st.port(in.readings())
	st.fold = func(msgid.Alias) stepFold { return &sinkFold{step: st} }
	s := in.read()
	switch in.key {
	case noKey:
	default: // To reads no stream by key: a step that does comes before it
		panic("sim: sink " + name + " reads by key")
	}
	out := stream.To(s, name, stream.Sink[item](rootSink{k, st, l}))
	if k.isolate() {
		out.Isolate()
	}
	return sinkStep{st, out}
}

// undetermined declares how operators are logged that may not do the same again. Package stream has no option for that.
func (k *typed) undetermined(p topology.Pessimism) { k.pessimism = p }

type sinkStep struct {
	step *step
	s    *stream.SinkStep[item]
}

func (s sinkStep) tasks(n int) sinkStep {
	s.s.Parallel(n)
	s.step.tasks = n
	return s
}

func (s sinkStep) retry(times int, backoff time.Duration) sinkStep {
	s.step.fails = true
	s.s.Retry(times, backoff)
	return s
}

func (s sinkStep) drop() sinkStep {
	s.step.fails = true
	s.s.Drop()
	return s
}

func (s sinkStep) dead() deadFlow {
	s.step.fails = true
	s.step.dead = &stepOutput{step: s.step, name: topology.DeadStream, kind: deadValue}
	return deadFlow{s.s.DeadLetters(), s.step.dead}
}

// made takes note of the part of an operator that is being made.
func (k *typed) made(st *step, part any) {
	if k.making != nil {
		k.making[st] = part
	}
}

// build makes an operator or a spout, and returns it with the parts that its steps made.
func build[T any](k *typed, factory func() T) (made T, parts map[*step]any) {
	before := k.making
	k.making = map[*step]any{}
	made, parts = factory(), k.making
	k.making = before
	return made, parts
}

// record has the operators of a plan keep a history, as those of the row shapes do.
func (k *typed) record(p *topology.Plan) {
	for _, op := range p.Operators {
		if op.System {
			continue
		}
		if source := op.Spout; source != nil {
			op.Spout = spout.Func(func() spout.Spout {
				s, parts := build(k, source.New)
				return newRecordedSpout(k, s, parts)
			})
			continue
		}
		if slices.ContainsFunc(k.w.kit.grouped.steps[op.Name], func(st *step) bool { return st.lucky }) {
			op.Pessimism = k.pessimism
		}
		factory := op.Bolt
		op.Bolt = func() bolt.Bolt {
			b, parts := build(k, factory)
			return newRecorder(k, b, parts).bolt()
		}
	}
}

// A pass is a kind of step without state that a flow may be read through.
type pass struct {
	name    string
	declare func(k *typed, s stream.Stream[item], name string) stream.Stream[item]
	apply   func(v item, out func(item))
	then    *pass // must come last, for its additions are to be removed
}

// decoy begins the roots of items that the shapes must not see.
const decoy = "~"

func isDecoy(v item) bool { return strings.HasPrefix(v.Root, decoy) }

func changed(v item) item { v.Value = v.Value*3 + 1; return v }

var keepRoots = &pass{
	name: "filter",
	declare: func(_ *typed, s stream.Stream[item], name string) stream.Stream[item] {
		return stream.Filter(s, name, func(v item) bool { return !isDecoy(v) })
	},
	apply: func(v item, out func(item)) {
		if !isDecoy(v) {
			out(v)
		}
	},
}

func addDecoys(v item, out func(item)) {
	if v.Value%2 == 0 {
		out(itemOf(decoy+v.Root, v.Value))
	}
	out(v)
	if v.Value%3 == 0 {
		out(item{decoy, v.Value, v.Pad})
	}
}

// The kinds of step that a flow may be read through.
var (
	mapping = &pass{
		name: "map",
		declare: func(_ *typed, s stream.Stream[item], name string) stream.Stream[item] {
			return stream.Map(s, name, changed)
		},
		apply: func(v item, out func(item)) { out(changed(v)) },
	}
	flat = &pass{
		name: "flat",
		declare: func(_ *typed, s stream.Stream[item], name string) stream.Stream[item] {
			return stream.FlatMap(s, name, addDecoys)
		},
		apply: addDecoys,
		then:  keepRoots,
	}
	trying = &pass{
		name: "try",
		declare: func(k *typed, s stream.Stream[item], name string) stream.Stream[item] {
			return stream.TryMap(s, name, func(_ context.Context, v item) (item, error) { return changed(v), k.w.outage() })
		},
		apply: func(v item, out func(item)) { out(changed(v)) },
	}
	tryingFlat = &pass{
		name: "tryflat",
		declare: func(k *typed, s stream.Stream[item], name string) stream.Stream[item] {
			return stream.TryFlatMap(s, name, func(_ context.Context, v item, out func(item)) error {
				if err := k.w.outage(); err != nil {
					return err
				}
				addDecoys(v, out)
				return nil
			})
		},
		apply: addDecoys,
		then:  keepRoots,
	}
	passes = []*pass{keepRoots, mapping, flat, trying, tryingFlat}
)

// resolve finds out which steps the operators of a plan consist of, and which outputs its streams carry: a step that is not
// the first of an operator was fused with the step that it reads.
func (k *typed) resolve(p *topology.Plan) (*grouped, error) {
	g := &grouped{k: k, op: map[*step]*topology.Operator{}, steps: map[string][]*step{}, streams: map[*topology.Stream]carried{}}
	for _, st := range k.steps {
		op := p.Operator(st.name)
		if op == nil && len(st.ports) > 0 {
			op = g.op[st.ports[0].from[0].from.step]
		}
		if op == nil {
			return nil, fmt.Errorf("sim: step %s is in no operator", st.name)
		}
		if st.tasks > 0 && st.tasks != op.Parallel {
			return nil, fmt.Errorf("sim: step %s is in operator %s, which has %d tasks, not %d", st.name, op.Name, op.Parallel, st.tasks)
		}
		g.op[st] = op
		g.steps[op.Name] = append(g.steps[op.Name], st)
	}
	for _, op := range p.Operators {
		for _, s := range op.Streams {
			for _, e := range s.Edges {
				if e.To.System || op.System {
					continue
				}
				c, err := g.carried(e)
				if err != nil {
					return nil, err
				}
				g.streams[s] = c
			}
		}
	}
	return g, g.complete()
}

// grouped lists how the steps of a typed shape were fused.
type grouped struct {
	k       *typed
	op      map[*step]*topology.Operator
	steps   map[string][]*step // by operator, as declared
	streams map[*topology.Stream]carried
}

// carried is the output that a stream carries.
type carried struct {
	from *stepOutput
	key  keyKind
}

// carried returns the output that the stream of an edge carries.
func (g *grouped) carried(e *topology.Edge) (carried, error) {
	var found []carried
	for _, r := range g.between(e.From, e.To) {
		c := carried{r.from, r.key}
		if r.grouping == e.Grouping && (r.from.kind == deadValue) == (e.Stream.Name == topology.DeadStream) && !slices.Contains(found, c) {
			found = append(found, c)
		}
	}
	if len(found) > 1 {
		found = slices.DeleteFunc(found, func(c carried) bool { return c.from.name != e.Stream.Name })
	}
	if len(found) != 1 {
		return carried{}, fmt.Errorf("sim: stream %v to %s, %v: it may carry %d outputs of steps", e.Stream, e.To.Name, e.Grouping, len(found))
	}
	return found[0], nil
}

// between returns how the steps of one operator read those of another.
func (g *grouped) between(from, to *topology.Operator) (list []reading) {
	for _, st := range g.steps[to.Name] {
		for _, p := range st.ports {
			for _, r := range p.from {
				if g.op[r.from.step] == from && from != to {
					list = append(list, r)
				}
			}
		}
	}
	return list
}

// complete reports an output that a step of another operator reads, and no stream carries.
func (g *grouped) complete() error {
	for _, st := range g.k.steps {
		for _, p := range st.ports {
			for _, r := range p.from {
				from, to := g.op[r.from.step], g.op[st]
				if from == to {
					continue
				}
				if !slices.ContainsFunc(to.Inputs, func(e *topology.Edge) bool { return g.streams[e.Stream] == carried{r.from, r.key} }) {
					return fmt.Errorf("sim: no stream carries the output of step %[2]s that step %[1]s reads", st.name, r.from.step.name)
				}
			}
		}
	}
	return nil
}
