package runtimecli_test
import ("testing";"os";"bytes";"encoding/json";"strings"
"github.com/orlop/orlop/enrich/runtimecli")
func TestRec(t *testing.T){
 d,_:=os.ReadFile("../../../shared/recorded/ebpf-exec.jsonl")
 for l:=range bytes.Lines(d){
  var x struct{Exe,Comm string; Args []string `json:"argv"`; Pexe string; Cwd string}
  if err:=json.Unmarshal(l,&x);err!=nil{t.Fatal(err)}
  c,ok:=runtimecli.Parse(runtimecli.Command{Executable:x.Exe,Args:x.Args,Comm:x.Comm})
  if ok { t.Log(x.Exe,x.Comm,x.Args[:min(9,len(x.Args))],"=>",strings.ReplaceAll(strings.TrimSpace(describe(c)),"\n"," |")) } else {t.Log("-- ",x.Exe,x.Comm,x.Args[:min(5,len(x.Args))])}
 }
}
