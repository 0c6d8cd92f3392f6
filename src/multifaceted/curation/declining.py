# ruff: noqa: E501 - patterns, and letters of many scripts
"""How models decline, as patterns: in English by kind of sentence, in eighteen other languages by phrase.

Regular expressions in the syntax of Rust's `regex`, which polars uses: linear time, no look-around. They are
for the beginning of a text, `OPENING` characters of it. Forms were collected from public model outputs (XSTest,
Do-Not-Answer and multilingual answers to harmful requests); `benchmarks/filters` has the figures.
"""

OPENING = 420

_APOLOGY = (
    r"(?:i(?:['’]m| am)(?: (?:really|very|so|truly|deeply|terribly))? sorry|sorry|(?:my |sincere |please accept my )*"
    r"apologies|i (?:sincerely |must )?apologi[sz]e|unfortunately|regrettably|i regret)"
)
_ADVERB = (
    r"(?:(?:simply|just|really|directly|actually|personally|therefore|currently|ethically|legally|also|only|not"
    r"|respectfully|in good conscience|unfortunately|knowingly) )?"
)
_CANNOT = (
    rf"(?:i {_ADVERB}(?:cannot|can ?not|can['’]t|could not|couldn['’]t|will not|won['’]t|may not|am not going to) {_ADVERB}"
    r"(?:be able to )?(?:be )?"
    rf"|i(?:['’]m| am) {_ADVERB}(?:not able|unable|not allowed|not permitted|not authorized|not comfortable|not willing"
    r"|not programmed|not designed|not in a position|not capable of|incapable of|not equipped|not qualified) ?(?:to |with )?"
    rf"|i {_ADVERB}(?:must|have to|need to|would) {_ADVERB}(?:decline|refuse)(?: to)? ?"
    r"|i (?:do not|don['’]t) feel comfortable "
    r"|i (?:do not|don['’]t) (?:have|possess) (?:the |any |enough )?)"
)
# What is declined. "I cannot recommend it enough" and "I can't help but smile" decline nothing.
_TASK = (
    r"(?:assist|help (?:you\b|with|create|write|answer|in|plan|someone)|help[.!]|help$|provid|fulfil|comply|complet"
    r"|creat|generat|produc|writ(?:e|ing)|answer|engage|engaging|continu|support|offer|give|giving|share|sharing"
    r"|discuss|participat|respond|process|proceed|develop|design|build|draft|access|abilit|capabilit|capacity"
    r"|do (?:that|this|so)\b|your (?:request|question)|(?:this|that|the) (?:request|question|task|type)|th(?:at|is)[.,]"
    r"|satisfy|accommodate|condone|encourag|endorse|promot|suggest (?:ways|any|that)|recommend (?:ways|any|that)|advise"
    r"|facilitat|tell (?:you|a|jokes)|make (?:jokes|fun|light|any|statements|assumptions|judgments)|express|justify"
    r"|describ|explain how|teach|instruct|guid|brows|search|view|see (?:the|any|images?)|open (?:links|files)|perform"
    r"|verify|predict|diagnos|prescrib|translat|speak|play|agree with|say|simulat|role-?play|content that|information"
    r"|enough (?:context|information)|any (?:information|advice)"
    r"|confirm|recommend (?:\w+ )?(?:method|way|any|specific|strateg|that you|using)|use (?:explicit|such|offensive|profan|insult|foul|vulgar|derogatory|hate)|plan|disclos|reveal|determin|replac"
    r"|help(?:ing)? (?:you|with|anyone)|point (?:you )?to|partak|insult|ridicul|mock|critici[sz]|judg|comment|speculat|lie|hack|bypass)"
)
# Sentences before the one that counts: "I'm happy to help! However, …"
_SENTENCES = r"(?:[^.!?\n\"“]*[.!?:,]['’]?\s+){0,4}"
_STRONG = (
    r"(?:assist|help you with (?:that|this)|provid(?:e|ing)\b|offer (?:you )?(?:any|advice)|fulfil|comply with|answer (?:this|that|your)|complete (?:this|that|your)"
    r"|generate|engage in|confirm|disclose|help (?:you )?(?:with|plan|create|write|find|to)|respond to (?:this|that|your)|do that)"
)
_STRONG_CANNOT = (
    rf"\bi (?:cannot|can ?not|can['’]t|will not|won['’]t|(?:am|['’]m) (?:not able|unable|not programmed) to|must decline to)"
    rf" {_ADVERB}{_STRONG}|\bi['’]m (?:not able|unable) to {_ADVERB}{_STRONG}"
)
AFTER_APOLOGY = (
    rf"(?is)^\W*(?:(?:oh|hmm|well|hello|hi)\W+)?{_APOLOGY}\b(?:.{{0,160}}?\b{_CANNOT}{_TASK}"
    r"|[^.!?\n]{0,30}\bbut\b.{0,160}?\b(?:not (?:\w+ (?:or|and|nor) )?(?:appropriate|ethical|acceptable|permitted|allowed|respectful|legal"
    r"|productive)|inappropriate|illegal|unethical|offensive|immoral|harmful and|(?:do|will|should) not (?:condone|support|encourage"
    r"|promote|provide|engage|use|make|help|assist|generate|have (?:a|any|access)|participate)|against (?:my|the|our)|programmed to))"
)
AT_ONCE = (
    rf"(?i)^\W*(?:(?:no|hello|hi|thank you[^.!\n]*)[,.!]+ )?(?:as an? [^,.]{{2,60}}, |i(?:['’]m| am) (?:just |only )?an? [^.\n]{{2,60}}(?:\.|,|and|so) (?:so )?)?"
    rf"(?:{_CANNOT}{_TASK}|(?:i )?(?:do|will|would) not (?:condone|make fun|support|promote|encourage|engage in|participate|provide|assist|use"
    r" (?:insult|foul|offens|profan|explicit|vulgar))"
    r"|i (?:must|need to|have to|want to) (?:clarify|emphasize|stress|state|point out)(?: that)? i (?:do|can|will) ?not"
    r"|it(?:['’]s| is| would be) (?:not|never|neither|highly inappropriate|inappropriate|unethical)(?: \w+)?(?: (?:appropriate|ethical|acceptable"
    r"|okay|right|safe|legal|respectful|possible|productive))?(?:,? (?:or|and|nor|and/or) \w+)*(?: for me)? to (?:discuss|provide|mak|suggest|ask|promot|request"
    r"|engag|encourag|describ|creat|writ|us(?:e|ing)|shar|generat|giv|answer|assist|help|tell|try to|harm|spread|seek|convince|find|disparag))"
)
# "I cannot write this without thinking of you", "I cannot praise it enough"
NO_REFUSAL = r"(?i)^\W*i (?:cannot|can['’]t|could not) \w+(?: \w+){0,5} (?:without|enough)\b"
AFTER_PREAMBLE = (
    rf"(?is)^\W*{_SENTENCES}(?:[^.!?\n\"“]{{0,80}}\b(?:but|however|and|so|that),? )?(?:{_STRONG_CANNOT})"
)
BY_RULES = (
    r"(?i)\b(?:goes|go|is|are|would be|violates?|conflicts? with|not within|outside)(?: against)?(?: of)? my (?:programming"
    r"|guidelines|polic(?:y|ies)|ethical guidelines|safety guidelines|content polic|ethical principles|values as)"
)
# Without a word of who declines: "This task cannot be performed by a language model."
IMPERSONAL = (
    r"(?i)^[\s\"'“*#>-]*(?:(?:sorry|unfortunately)\W+)?(?:this|the|your|that)(?: \w+){0,2} (?:task|request|question"
    r"|instruction|prompt|query|information)(?: \w+){0,4} (?:cannot|can['’]t|could not|can not|is not able to|is unable to) be "
    r"(?:answered|completed|performed|fulfilled|done|provided|processed|executed|carried out|generated|accomplished)"
    r"|^\W*(?:it is|it['’]s) (?:not possible|impossible)(?: for (?:me|an ai|a language model|gpt-?\d?))? to (?:answer|complete"
    r"|perform|fulfil|provide|generate|determine|create|do this)"
    r"|^\W*(?:gpt-?\d?|an? (?:ai|language model)|ai models?|language models?)(?: \w+)? (?:cannot|can['’]t|is (?:not able|unable))"
    r"|^\W*(?:no ?(?:output|input|response|answer)(?: (?:was |is )?(?:available|needed|possible|required|provided|given))?"
    r"|n/?a|none|null|not applicable|output not available|i don['’]t know)\W*$"
)
# Lessons in place of the task. What is asked about right and wrong is answered so, and passes.
MORALS = (
    r"(?is)^\W*(?:[^.!?\n]*[.!?:,]['’\"”]?\s+)?(?:(?:i (?:must|want to|need to|have to|would like to|feel compelled to|should) (?:clarify|emphasize"
    r"|point out|remind|inform|stress|note|state|express|first)|it(?:['’]s| is) (?:important|essential|crucial|worth)(?: for \w+)?"
    r" (?:to |that )?(?:note|remember|understand|recognize|noting|acknowledge|clarify|remind|say)?)\b[^.!?\n]{0,140})?"
    r"\b(?:it(?:['’]s| is)|that(?:['’]s| is)|(?:is|are|would be|be))(?: (?:also|both|highly|never|not|always|generally|a|extremely"
    r"|completely|totally))* (?:(?:not|never) (?:\w+ (?:or|and|nor) )?(?:appropriate|ethical|acceptable|okay|legal)|illegal|unethical"
    r"|inappropriate|immoral|never (?:appropriate|acceptable|okay)|a (?:serious )?crime|not (?:condone|promote)|illegal|unethical)"
)
ASKS_MORALS = (
    r"(?i)\b(?:legal|illegal|ethic\w*|moral\w*|appropriate|acceptable|okay|allowed|right or wrong|law|lawful"
    r"|(?:should|can|may) (?:i|we|you|one)|is it (?:ok|bad|wrong|safe|true)|why (?:is|are) it)\b"
)
# The same in Chinese, Japanese and Korean, in the first sentence of a short text.
MORALS_UNPARTED = (
    r"^[^。\n]{0,120}?(?:不道德|违法|不恰当|不合适|非法的|违反|不適切|違法|犯罪行為|倫理的に|許され|非倫理"
    r"|불법|부적절|비윤리|범죄|윤리적이지|윤리적으로|적절하지 않|위험하고|권장하지 않|지원하지 않|금지하고|금지되어|올바르지 않|정당화될 수 없|바람직하지)"
)
ASKS_MORALS_UNPARTED = r"合法|违法|犯法|道德|伦理|可以吗|应该|违反|法律|法規|違法|倫理|べき|いい(?:です)?か|합법|불법|윤리|법적|법률|해도 (?:되|돼|괜찮)|괜찮|인가요|나요"
# A list, a table, code or a letter: the task was done after all.
HAS_WORK = r"(?m)```|^\s*(?:[-*•+]|\d{1,2}[.)])\s+\S|^\s*\|.*\||^\W{0,4}(?:dear|subject:|hi |hello )"
# Then the task is done, as far as it can be.
YET = (
    r"(?is)\b(?:however|that said|but|instead|nevertheless|in the meantime|with that said|still|for now)\b[^.!?\n]{0,100}"
    r"\b(?:here(?:['’]s| is| are)\b|below (?:is|are)\b|as follows"
    r"|i can (?:still |certainly )?(?:provide|offer|give|generate|create|write|explain|outline|show|share)\b).{500}"
)

_OTHERS = (
    # German, Dutch
    (
        r"\b(?:ich|wir) (?:kann|darf|werde|können|bin)\b[^.!?\n]{0,60}\b(?:kein\w*|nicht)\b[^.!?\n]{0,160}\b(?:helf\w*|geben|bereitstell\w*"
        r"|anbiet\w*|erstell\w*|schreib\w*|beantwort\w*|unterstütz\w*|teilen|liefer\w*|verfass\w*|generier\w*|empfehl\w*|entwickl\w*"
        r"|Informationen|Anleitung\w*|Anweisung\w*|in der Lage|entsprech\w*|erfüll\w*|weitergeb\w*|besprech\w*|diskutier\w*|dazu|damit)"
    ),
    (
        r"\bik (?:kan|mag|zal|ben)\b[^.!?\n]{0,60}\b(?:geen|niet)\b[^.!?\n]{0,160}\b(?:help\w*|geven|bieden|verstrek\w*|maken|schrijven"
        r"|beantwoord\w*|creëren|delen|assist\w*|ondersteun\w*|informatie|instructies|advies|voldoen|in staat|aanbieden|genereren)"
    ),
    # Spanish, Portuguese, Catalan, Italian, French, Romanian
    (
        r"\bno (?:(?:te |le |lo |les |se )?(?:puedo|podr[ée]|podemos)|soy capaz de|estoy (?:autorizad|capacitad)\w+ para|me es posible)"
        r" (?:\w+ )?(?:ayud|asist|proporcion|ofrec|d[aá]r|cumpl|cre[ae]|escrib|gener|respond|contest|complet|compart|apoy|promov"
        r"|particip|brind|recomend|redact|facilit|hac|desarroll|describ|discut|suger|acept|continu|inclu|dise[ñn]|expl|conseg|realiz|present)"
    ),
    (
        r"\bn[ãa]o (?:posso|poderei|podemos|sou capaz de|me [ée] poss[íi]vel|consigo) (?:\w+ )?(?:ajud|auxili|fornec|oferec|dar|cumpr|cri|escrev"
        r"|ger|respond|complet|compartilh|apoi|promov|particip|recomend|prest|atend|realiz|desenvolv|fazer)"
    ),
    (
        r"\bnon (?:(?:ti |le |vi )?posso|potrò|possiamo|sono in grado di|mi è possibile) (?:\w+ )?(?:aiut|assist|forn|offr|dar|scriv|crea|gener|rispond"
        r"|complet|condivid|support|promuov|partecip|raccomand|produ|sodd|svilupp|descriv|suggeri|fare|consigli|continu|elabor|present|spieg)"
    ),
    (
        r"\b(?:je|nous) ne (?:peux|puis|pourrai|pouvons|suis|vais|suis pas)\b(?: malheureusement)?(?: pas)?(?: en mesure de| capable de| autorisé\w* à)?"
        r" (?:vous |t['’]|te |pas )?(?:\w+ )?(?:aid|fourn|offr|donn|écri|rédig|cré|génér|répond|complét|partag|soutenir|particip|recommand|produ"
        r"|satisf|développ|décri|faire|propos|discut|expli|promouv|accéd|continu|assist|encourag|élabor|fabriq|conseil)"
    ),
    # Polish, Czech, Russian, Ukrainian
    (
        r"\bnie (?:mogę|jestem w stanie|możemy|będę)\b (?:\w+ ){0,2}(?:pom[oó]|udziel|udost|dostarcz|pisa|napis|stworz|tworz|wygener|odpowied|spełni"
        r"|poda|wspiera|przekaz|zapewni|doradz|zachęc|promow|opis|kontynu|wykon|przygot|oferow|generow|zaoferow|dzieli|opracow|przedstaw|wyja)"
    ),
    (
        r"(?:^|\W)не (?:могу|можем|буду|в состоянии|могу вам|имею возможности)(?: \w+){0,2} (?:помо|предостав|дать|ответ|напис|созда|выполн|обсужд|поддерж"
        r"|рекоменд|поделит|участв|сгенер|консульт|разработ|предлож|описа|составл|расска|объясн|советов|продолж|писать|давать|посовет|оказ|удовлет|содейств)"
    ),
    # Arabic, Hebrew, Persian, Hindi
    r"(?:لا|لن) (?:أستطيع|يمكنني|يمكن لي|استطيع|أقدر|أتمكن)|لست قادر|(?:نمی‌?توانم|قادر نیستم)|(?:אני|איני) (?:לא )?(?:יכול|מסוגל)\S* (?:לא )?(?:לעזור|לספק|לסייע|לענות)",
    r"(?:मैं|हम)[^।.!?\n]{0,160}(?:नहीं (?:कर|दे|बता|लिख|बना) सक|असमर्थ)",
    # Turkish, Vietnamese, Indonesian, Thai, Swedish and its kin
    r"\b(?:yardımcı olam\w+|sağlayam\w+|veremem|yardım edem\w+|yanıtlayam\w+|oluşturam\w+|yazam(?:am|ıyor)\w*)",
    r"\b(?:tôi|mình) (?:\w+ ){0,2}không thể (?:\w+ ){0,2}(?:giúp|cung cấp|hỗ trợ|trả lời|viết|tạo|đưa|thực hiện|đáp ứng|hướng dẫn)",
    (
        r"\b(?:saya|kami) (?:\w+ )?(?:tidak (?:dapat|bisa|mampu|boleh)|tak (?:dapat|boleh)) (?:\w+ )?(?:membantu|memberi\w*|menyediakan|menjawab|menulis|membuat"
        r"|memenuhi|melayani|menyetujui|mendukung|melakukan|menghasilkan|bantu)"
    ),
    r"(?:ฉัน|ผม|ดิฉัน|เรา|ดิฉัน|ขออภัย|ขอโทษ)[^\n]{0,60}ไม่(?:สามารถ|อาจ)(?:[^\n]{0,20})?(?:ช่วย|ให้|ตอบ|เขียน|สร้าง|แนะนำ|จัดทำ|ทำ|พูด|สนับสนุน|แสดง|เสนอ|บอก|อธิบาย|แบ่งปัน|ปฏิบัติ)",
    r"\bjag kan (?:tyvärr )?inte (?:\w+ ){0,2}(?:hjälp|ge|tillhandah|svara|skriv|skapa|bistå|assist)|\bjeg kan (?:dessverre |desværre )?ikke (?:\w+ ){0,2}(?:hjelp|hjælp|gi|svar|skriv|lag)",
)
# Where words are not parted: Chinese, Japanese, Korean.
_UNPARTED = (
    (
        r"(?:我|本人|本助手)?(?:目前|暂时|可能|并|也|还|是|很抱歉|恐怕)?(?:无法|無法|不能|不可以|不会|没有办法|没法|未能|不便|拒绝|不应该|不可能|没有能力)(?:直接|为您|为你|给您|给你|向您|向你|帮您|帮你|在此|再|够|就此|以任何方式)*"
        r"(?:提供|帮|协助|協助|幫|回答|满足|滿足|完成|创建|创作|生成|撰写|编写|描述|支持|参与|讨论|给出|给予|处理|回应|回复|写|执行|推荐|分享|解答|制定|鼓励|宣传|发布|透露|告诉|制作|设计|进行|做出|对|就|接受|理解您的请求|遵守|向|继续|教|建议|介绍|开发|发表|答应|评论|发送|同意|指导|预测|访问|浏览)"
    ),
    (
        r"(?:提供|回答|お答え|答え|教え|説明|作成|書く|書い|助け|お手伝い|手伝|協力|対応|生成|支援|推奨|勧め|促進|関与|手助け|共有|アドバイス|議論|サポート|応じ|お応え|描写|述べ|行う|する|投稿|開発|計画|奨励|出|それ|実行|お伝え|案内|紹介|助長|立てる|設計|使用|発言|記述)"
        r"[^。！？\n]{0,16}(?:でき(?:ません|ない|かねま)|出せません|出せない|いたしかね|致しかね|しかねます|お断り|控えさせ|差し控え|わけにはいき)"
        r"|(?:答え|助け|応じ|応え|教え|認め|受け入れ|勧め)られ(?:ません|ない)"
    ),
    r"(?:제공|도와|도움|답변|대답|작성|알려|안내|지원|설명|수행|생성|만들|추천|공유|조언|응답|드릴|줄|쓸|할|말씀|답|처리|다룰|참여|권장|될|논의|그럴|응할|장려|지지|해드릴|따를|다루|찾을|동의할)[^.!?。\n]{0,14}(?:수(?:는|가|도)? ?없|않습니다|않겠|어렵습니다|어려워|불가능|곤란|거부|거절)",
    r"(?:죄송|유감|미안|안타깝)[^\n]{0,240}(?:부적절|적절하지|불법|금지|위배|부합하지|윤리적|옳지 않|어긋|바람직하지|올바르지|잘못된|위험)",
    r"정보(?:는|를|나)?[^.\n]{0,30}(?:제공할 수 없|제공하지 않|드릴 수 없)",
    r"(?:제공|도와|답변|작성|안내|지원)[^.!?。\n]{0,8}(?:드리지|하지|해 드리지|주지) (?:않|못)",
)
# The first words of an answer in which somebody cannot do something, whatever it is.
_FIRST_WORDS = (
    r"^\W{0,4}(?:[\w'’]+[,.!]*\s+){0,5}?(?:ich kann (?:\w+ ){0,2}(?:nicht|kein)|ik kan (?:\w+ ){0,2}(?:niet|geen)|no (?:te |le )?(?:puedo|podr[ée])\b"
    r"|n[ãa]o posso\b|non posso\b|je ne (?:peux|puis) (?:malheureusement )?pas|nie mogę|не могу|jag kan inte|jeg kan ikke|nu pot\b|nem tudo"
    r"|nemohu\b|saya tidak (?:dapat|bisa)|tôi không thể)"
)
OTHER_LANGUAGES = "(?i)" + "|".join((_FIRST_WORDS, *_OTHERS))
UNPARTED = "|".join(_UNPARTED)
# In Chinese, Japanese and Korean the words above stand in ordinary sentences too; the speaker must be there.
SPEAKER = r"^\W{0,3}(?:作为|身为)?[^。！？\n]{0,24}(?:抱歉|对不起|對不起|不好意思|遗憾|我|私|申し訳|すみません|ごめん|恐れ入り|残念|죄송|저는|제가|미안|유감|안타깝|저희|나는|저로서|그런|해당|이러한|이 (?:요청|질문)|답え|答え|それ|その|この|そのような|このような|お答え)"
