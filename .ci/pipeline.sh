#!/usr/bin/env bash
# Every command once, with a random model of 4 layers and 12 one-line documents: pipeline.sh PATH-OF-DREAM.
# Shows that the parts fit together; whether the numbers are right is what the tests are for.
set -euo pipefail

dream=$(realpath "$1")
model=$(realpath "$(dirname "$0")/../crates/dream/fixtures/tiny-llama")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export DREAM_CACHE="$work/cache" HF_HUB_OFFLINE=1

fail() {
    echo "FAILED: $*" >&2
    tail -n 20 out err >&2 2>/dev/null || true
    exit 1
}

# ends CODE COMMAND...: runs the command, wants its exit code, leaves what it said in out and err.
ends() {
    local want=$1 got=0
    shift
    "$@" >out 2>err || got=$?
    [[ $got == "$want" ]] || fail "exit code $got instead of $want: $*"
}

# says FILE TEXT: the file holds the text.
says() {
    grep -qF -- "$2" "$1" || fail "$1 does not say: $2"
}

# there FILE...: the files are there and not empty.
there() {
    local file
    for file; do
        [[ -s $file ]] || fail "no $file"
    done
}

echo "data"
mkdir -p data/qrels
rivers=(Aar Bode Cher Drau Elbe Fulda Gera Havel Inn Jagst Kamp Lahn)
wares=(bread salt wool iron wine glass rope cheese paper silk honey coal)
printf 'query-id\tcorpus-id\tscore\n' >data/qrels/test.tsv
for i in "${!rivers[@]}"; do
    echo "{\"_id\":\"d$i\",\"title\":\"\",\"text\":\"Town $i by the ${rivers[i]} sells ${wares[i]}.\"}" >>data/corpus.jsonl
    if ((i < 8)); then
        echo "{\"_id\":\"r$i\",\"query\":\"what sells town $i\",\"target\":\"${wares[i]}\",\"context_id\":\"d$i\"}" >>data/train.jsonl
    else
        echo "{\"_id\":\"q$i\",\"text\":\"which town is by the ${rivers[i]}\"}" >>data/queries.jsonl
        printf 'q%s\td%s\t1\n' "$i" "$i" >>data/qrels/test.tsv
    fi
done
cat >example.json <<'END'
{"docs":["Town 1 sells salt.","Town 2 sells wool."],"question":"what sells town 1","target":"salt","scores":[0.6,0.5],"tau":0.05}
END
cat >train.toml <<END
seed = 3
output = "run"
[data]
path = "data"
candidates = 4
queries_per_pool = 2
known_passage = "include"
[llm]
model = "$model"
heads = "heads.json"
[retriever]
model = "$model"
standardize_texts = 8
[retriever.encoding]
pooling = "mean"
append_eos = false
standardize = "trainable"
[retriever.lora]
r = 4
lora_dropout = 0.1
[objective]
temperature = 0.1
learn_temperature = true
[optimizer]
lr = 1e-3
[training]
steps = 150
batch_size = 4
save_every = 50
[eval]
data = "data"
END

echo "models, heads, explain"
ends 0 "$dream" models info "$model" --json
ends 0 "$dream" heads --llm "$model" --data data --queries 6 --candidates 4 --count 4 --headroom \
    --out heads.json --svg heads.svg --json
says out '"heads":[{"head":"'
says out '"headroom"'
there heads.json heads.svg
ends 0 "$dream" explain --llm "$model" --heads heads.json --example example.json --json
says out '"dloss_dscores":['

echo "train, interrupt, resume"
"$dream" train train.toml >out 2>err &
pid=$!
for ((i = 0; i < 6000; i++)); do
    if grep -qs '"step":3,' run/metrics.jsonl || ! kill -0 "$pid" 2>/dev/null; then
        break
    fi
    sleep 0.01
done
kill -INT "$pid" 2>/dev/null || fail "training ended before it could be interrupted"
code=0
wait "$pid" || code=$?
[[ $code == 130 ]] || fail "an interrupted training exited with $code instead of 130"
[[ ! -e run/adapter ]] || fail "an interrupted training left an adapter as if it were done"
ends 2 "$dream" train train.toml
says err "holds a run already"
ends 0 "$dream" train train.toml --resume --json
says out '"steps":150,'
there run/{metrics.jsonl,config.toml,loss.svg,report.html} run/adapter/{adapter_config.json,adapter_model.safetensors,retriever.json}
ends 0 "$dream" train train.toml --output whole
cmp run/adapter/adapter_model.safetensors whole/adapter/adapter_model.safetensors ||
    fail "a resumed training differs from one that ran through"

echo "objectives"
ends 0 "$dream" objectives --json
says out '"name":"qr-distill"'
for objective in infonce replug revela adist emdr2 kl "dream + 0.1 qr-distill"; do
    sed -e "s/^steps = .*/steps = 2/" -e "s/^\[objective\]/[objective]\nname = \"$objective\"/" train.toml >objective.toml
    ends 0 "$dream" train objective.toml --output "by ${objective%% *}"
    there "by ${objective%% *}/adapter/adapter_model.safetensors"
done
for objective in dream revela; do
    sed -e "s/^steps = .*/steps = 2/" -e "s/^\[objective\]/[llm.lora]\nr = 2\n[objective]\nname = \"$objective\"/" train.toml >objective.toml
    ends 0 "$dream" train objective.toml --output "tuned by $objective"
    there "tuned by $objective/llm_adapter/adapter_model.safetensors"
done

echo "mine, train on what was mined, search candidates while training"
ends 0 "$dream" mine --data data --source hybrid --model "$model" --adapter run/adapter --k 4 --drop-containing-target \
    --out mined --with-corpus --json
says out '"written":8'
there mined/{train.jsonl,corpus.jsonl,train.jsonl.mine.json}
sed -e 's/^path = "data"/path = "mined"\npool = "as-given"/' -e 's/^steps = 150/steps = 3/' train.toml >mined.toml
ends 0 "$dream" train mined.toml --output on-mined
sed -e 's/^path = "data"/path = "data"\npool = "dense"\nrefresh_every = 2/' -e 's/^steps = 150/steps = 3/' train.toml >dense.toml
ends 0 "$dream" train dense.toml --output on-dense
says on-dense/metrics.jsonl '"refresh_secs"'

echo "embed, encode, search, eval"
ends 0 "$dream" embed --model "$model" --adapter run/adapter --json <<<"which town sells salt"
says out '{"index":0,"tokens":21,"embedding":['
ends 0 "$dream" encode --model "$model" --adapter run/adapter --data data --out index --shard-size 5 --json
says out '"documents":12,'
says out '"shards":3,'
for i in 0 1; do
    ends 0 "$dream" encode --model "$model" --adapter run/adapter --data data --out parts --shard-size 5 --shard "$i/2"
done
ends 0 "$dream" index merge --out merged parts
ends 0 "$dream" index verify merged
ends 0 "$dream" index info merged
diff -r merged index || fail "two parts merged differ from one run"
ends 0 "$dream" search --model "$model" --adapter run/adapter --index index --verify --corpus data \
    --query "which town sells salt" --k 3 --json
says out '"rank":3,'
ends 0 "$dream" search --model "$model" --adapter run/adapter --index index --queries data/queries.jsonl --run run.trec
ends 0 "$dream" eval --run run.trec --qrels data/qrels/test.tsv --json
says out '"queries":4'
cp out searched
ends 0 "$dream" eval --model "$model" --adapter run/adapter --data data --json
cmp out searched || fail "search and eval disagree about the same retriever"

echo "bad input"
ends 2 "$dream" embed --model no-such-model
says err "no-such-model"
head -c 5000 "$model/model.safetensors" >cut.safetensors
mkdir cut && cp "$model"/*.json cut && mv cut.safetensors cut/model.safetensors
ends 2 "$dream" embed --model cut
mkdir broken && cp data/train.jsonl broken
printf '{"_id":"a","text":"b"}\n{"_id":\n' >broken/corpus.jsonl
ends 2 "$dream" encode --model "$model" --data broken --out broken/index
says err "corpus.jsonl:2:"
ends 2 "$dream" train train.toml --data broken --output other
says err "corpus.jsonl:2:"
: >broken/corpus.jsonl
ends 2 "$dream" encode --model "$model" --data broken --out broken/index
says err "holds no document"
ends 2 "$dream" explain --llm "$model" --heads 99-0 --example example.json
sed 's/^candidates = 4/candidate = 4/' train.toml >bad.toml
ends 2 "$dream" train bad.toml --output other
says err "candidate"
sed 's/^\[objective\]/[objective]\nin_batch = true/' train.toml >bad.toml
ends 2 "$dream" train bad.toml --output other
says err "objective.in_batch means nothing to dream"
sed 's/^known_passage = .*/known_passage = "as-found"\npool = "as-given"/' train.toml >bad.toml
ends 2 "$dream" train bad.toml --output other
says err 'has no candidate: query "what sells town'
ends 2 "$dream" search --model "$model" --index index --query "without the adapter that made the index"
ends 2 "$dream" eval --run run.trec
[[ ! -e other ]] || fail "a training that could not start left a run folder"
echo "all of the pipeline works"
