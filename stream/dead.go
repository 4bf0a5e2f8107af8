package stream

import (
	"fmt"

	"github.com/askback/askback/internal/codec"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// declareDead declares the policy DeadLetter for a step that reads values of one type.
func (n *node) declareDead(name string, typ *valueType) {
	for _, p := range n.ports {
		if p.typ != typ {
			n.t.reject(n.name, "its dead letters are values of %s: DeadLetters[%s] was called", p.typ.name, name)
			return
		}
	}
	n.policies = append(n.policies, topology.DeadLetter)
}

// deadType returns the type of Dead[T] on the stream of dead letters, with the fields id, error and tuple.
func deadType[T any]() *valueType {
	dead := *typeOf[Dead[T]]()
	dead.take = takeDead[T]
	return &dead
}

func takeDead[T any](f *tuple.Fields, to any) (func(tuple.Tuple) error, error) {
	c, err := codec.Of[T]()
	if err != nil {
		return nil, err
	}
	fields, err := tuple.NewFields(c.Fields()...)
	if err != nil {
		return nil, err
	}
	r, err := c.Bind(fields)
	if err != nil {
		return nil, err
	}
	id, reason, value := f.Index("id"), f.Index("error"), f.Index("tuple")
	if id < 0 || reason < 0 || value < 0 {
		return nil, fmt.Errorf("stream: the stream of dead letters has the fields %v", f)
	}
	next, d := to.(push[Dead[T]]).at, new(Dead[T])
	return func(t tuple.Tuple) error {
		*d = Dead[T]{ID: t.String(id), Reason: t.String(reason)}
		letter, err := tuple.Parse(fields, t.Bytes(value))
		if err != nil {
			return err
		}
		if err := r.Decode(letter, &d.Value); err != nil {
			return err
		}
		next(d)
		return nil
	}, nil
}
