# ruff: noqa: E501 - marks as models write them
"""Marks of chat formats: tokens that end or begin a turn, names of roles, tool calls, reasoning.

In the syntax of Rust's `regex`. The formats are those of public chat templates (FastChat's, and those of the
models since); `benchmarks/filters` has the figures.
"""

# Tokens that no text for people holds. A bare `<s>` is HTML for struck-out text, and stands at the start only.
TOKENS = (
    r"<\|[A-Za-z_▁][A-Za-z0-9_▁ /-]{1,40}\|>|<[｜|][A-Za-z▁][^<>\n｜|]{1,40}[｜|]>|[.!?…)\"”*`\n]\s*</s>|</s>\s*(?:$|<)|^\s*<s>\s|<s>\[INST\]"
    r"|\[/?INST\]|<</?SYS>>|<\|?(?:start|end|begin)_?of_?(?:turn|text|sentence|message|image|piece)\|?>"
    r"|<(?:eos|bos|pad|unk|sep|mask|eot|eod|eoa|eoh|eom|nooutput|noinput|ENDOFTURN|endoftext)>|<reserved_\d+>|\[\|?(?:Human|AI|Bot|User|Assistant)\|\]"
    r"|<(?:human|bot|user|assistant|system|prompter|gpt)>\s*:?|<0x[0-9A-F]{2}>|\[(?:BOS|EOS|gMASK|sMASK|CLS|UNUSED_TOKEN_\d+)\]"
    r"|<\|?(?:im_start|im_end|im_sep)\|?>"
)
REASONING = (
    r"</?(?:think|thinking|thought|reasoning|scratchpad|reflection|inner_monologue|analysis)>|◁/?think▷|\[/?THINK\]"
    r"|(?i:^\W*(?:(?:okay|ok|alright|hmm|well|so|now|first)[,.]? )?(?:so,? |let(?:['’]s| me) (?:see|think|break)[^.\n]{0,60}[.,] )?"
    r"(?:the user (?:is|wants|has|asks|asked|requests|just|said|seems)\b|i need to (?:respond to|answer|help) the user|we need to (?:respond|answer|produce|comply)))"
)
TOOL_CALLS = (
    r"</?(?:tool_call|tool_calls|function_call|function_calls|tool_response|tool_use|invoke|function=\w+)\b[^>\n]*>|\[TOOL_CALLS\]"
    r"|^\s*\{\s*\"(?:name|function|tool)\"\s*:\s*\"[\w.-]+\"\s*,\s*\"(?:arguments|parameters|args|input)\"\s*:"
)
# The next turn of the person, written by the model: one role that is decisive, or both, one behind the other.
_USER = r"(?:human|user|gpt4 correct user|prompter|instruction|prompt)"
_MODEL = r"(?:assistant|ai|bot|chatbot|gpt|gpt4 correct assistant|response|falcon|model|chatgpt|claude|vicuna|koala)"
TURNS = (
    r"(?m:#{2,4} ?(?:Human|Assistant|USER|ASSISTANT)\s*(?::|$))|#{2,4} ?(?:Instruction|Response):\s*\n"
    rf"|(?is:(?:^|\n|[.!?*`\"”)]\s?)\W{{0,5}}\b{_USER}\W{{0,3}}:.*(?:\n|[.!?`\"”)]\s?)\W{{0,5}}\b{_MODEL}\W{{0,3}}:)"
    r"|(?s:(?:^|\n|[.!?)*`\"”])user\n.+(?:assistant|model)\n)|[.!?)*`\"”]assistant\n|(?s:(?:^|\n)#{2,4} (?:User|Instruction|Human)\s*\n.*\n#{2,4} (?:Assistant|Response)\s*\n)"
    r"|(?s:(?:^|\n)\W{0,3}(?:问|問|用户|用戶|Q)\s*[:：].+\n\W{0,3}(?:答|助手|机器人)\s*[:：])|(?s:\bUSER: .+ ASSISTANT: )"
    r"|(?m:^\W{0,3}(?:Human|###? ?User)\s*:\s)"
)
NEAR_TURNS = [
    "human:",
    "human\n",
    "user:",
    "user :",
    "user\n",
    "assistant:",
    "assistant\n",
    "assistant]",
    "assistant>",
    "# assistant",
    "#assistant",
    "prompter",
    "instruction:",
    "instruction\n",
    "# response",
    "prompt:",
    "response:",
    "user**",
    "human**",
    "user]",
    "human]",
    "user>",
    "human>",
    "# human",
    "#human",
    "# user",
    "#user",
    "user ",
    "问",
    "問",
    "用户",
    "用戶",
    "q:",
    "q：",
]
NEAR_REASONING = ["<", "◁", "[think", "[/think", "the user ", "we need to ", "i need to "]
# A system message that talks to whoever asked for it.
ADDRESSES_WRITER = (
    r"(?i)^\W*(?:sure|certainly|of course|absolutely|here(?:['’]s| is| are))\b[^\n]{0,80}\b(?:system|prompt|message|role)\b"
    r"|\b(?:let me know if|feel free to (?:adjust|modify|edit|let me|change)|would you like me to|i(?:['’]ve| have) (?:written|crafted|created)"
    r"|this system (?:message|prompt) (?:is|was|captures|aims|reflects|ensures|combines|incorporates|guides|instructs))\b"
)
# Prompts about such things: there the marks are the matter itself.
ABOUT_TOKENS = (
    r"(?i)<\||\[/?INST\]|<<SYS>>|</?s>|### ?(?:Instruction|Response|Input)|\b(?:chat ?ml|chat templates?"
    r"|tokeni[sz]\w*|special tokens?|llama|mistral|alpaca|prompt formats?|fine-?tun\w*|html|xml)\b"
)
ABOUT_TURNS = (
    r"(?i)\b(?:dialog\w*|conversations?|scripts?|interview\w*|chat\w*|role-?play\w*|transcripts?|user ?:|human ?:|assistant|bots?|faq"
    r"|screenplay|play|sketch|scene|customer service|prompts?)\b|对话|對話|会話|대화"
)
ABOUT_TOOLS = r"(?i)\b(?:tools?|functions?|api|json|call)\b"
ABOUT_REASONING = r"(?i)<think|\b(?:xml|tags?|think (?:step|out loud)|scratchpad|reasoning)\b"
