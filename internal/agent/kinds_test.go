package agent_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/orlop/orlop/internal/agent"
)

// The schema of configurations lists the kinds of sources that there are.
func TestSchemaListsTheKinds(t *testing.T) {
	var s struct {
		Properties struct {
			Sources struct {
				Items struct {
					Properties struct {
						Kind struct {
							AnyOf []struct{ Enum []string }
						}
					}
				}
			}
		}
	}
	if err := json.Unmarshal(agent.Schema(), &s); err != nil {
		t.Fatal(err)
	}
	any := s.Properties.Sources.Items.Properties.Kind.AnyOf
	if len(any) == 0 || !slices.Equal(any[0].Enum, agent.LiveKinds()) {
		t.Errorf("the schema has %v, want %q", any, agent.LiveKinds())
	}
}
